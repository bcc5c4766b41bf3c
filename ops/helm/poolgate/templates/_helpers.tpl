{{- /* Names, labels and small calculations. */ -}}

{{- define "poolgate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- /* Leaves room for the longest suffix, because names of Services have at most 63 characters. */ -}}
{{- define "poolgate.fullname" -}}
{{- $name := include "poolgate.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "poolgate.operatorsName" -}}
{{- include "poolgate.fullname" . }}-operators
{{- end -}}

{{- define "poolgate.selectorLabels" -}}
app.kubernetes.io/name: {{ include "poolgate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "poolgate.labels" -}}
{{ include "poolgate.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "poolgate.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "poolgate.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "poolgate.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* `gateway` in front of an app, `watch` beside a source, or `pool` with connections of its own. */ -}}
{{- define "poolgate.mode" -}}
{{- if dig "upstream" "url" "" .Values.settings -}}
gateway
{{- else if or .Values.watch.existingSecret (dig "watch" "url" "" .Values.settings) -}}
watch
{{- else -}}
pool
{{- end -}}
{{- end -}}

{{- /* The port that has the page, the metrics and the probes. A gateway's public port is the app's. */ -}}
{{- define "poolgate.operatorsPort" -}}
{{- eq (include "poolgate.mode" .) "gateway" | ternary "operators" "http" -}}
{{- end -}}

{{- /* A duration such as 1500ms or 2m in seconds, rounded up. */ -}}
{{- define "poolgate.seconds" -}}
{{- $number := regexFind "^[0-9]+" . | int64 -}}
{{- $unit := regexFind "[a-z]+$" . -}}
{{- if eq $unit "ms" -}}
{{- div (add $number 999) 1000 -}}
{{- else -}}
{{- mul $number (get (dict "s" 1 "m" 60 "h" 3600) $unit) -}}
{{- end -}}
{{- end -}}

{{- /* The shortest grace period: both drain times, and a margin for the farewell to the database. */ -}}
{{- define "poolgate.gracePeriod" -}}
{{- $delay := include "poolgate.seconds" (dig "server" "drain_delay" "0s" .Values.settings) | int64 -}}
{{- $timeout := include "poolgate.seconds" (dig "server" "drain_timeout" "8s" .Values.settings) | int64 -}}
{{- add $delay $timeout 5 -}}
{{- end -}}

{{- /* Variables from the Secrets that are named. */ -}}
{{- define "poolgate.secretVariables" -}}
{{- $secrets := dict
    "POOLGATE_WATCH__URL" .Values.watch
    "POOLGATE_SERVER__ADMIN_TOKEN" .Values.adminToken
    "POOLGATE_ALERTS__URL" .Values.alertsUrl
    "POOLGATE_ALERTS__SECRET" .Values.alertsSecret -}}
{{- if eq (include "poolgate.mode" .) "pool" -}}
{{- $_ := set $secrets "DATABASE_URL" .Values.database -}}
{{- end -}}
{{- $variables := list -}}
{{- range $name, $secret := $secrets -}}
{{- if $secret.existingSecret -}}
{{- $reference := dict "name" $secret.existingSecret "key" $secret.key -}}
{{- $variables = append $variables (dict "name" $name "valueFrom" (dict "secretKeyRef" $reference)) -}}
{{- end -}}
{{- end -}}
{{- if $variables -}}
{{- toYaml $variables -}}
{{- end -}}
{{- end -}}
