{{- /* The settings file, and the checks of what the schema cannot say. */ -}}

{{- /*
Helm reads all numbers of a values file as floating point, and would write 25 as 25.0, which the program refuses. This
changes the dictionary that it gets.
*/ -}}
{{- define "poolgate.wholeNumbers" -}}
{{- $settings := . -}}
{{- range $name, $value := $settings -}}
{{- if kindIs "map" $value -}}
{{- include "poolgate.wholeNumbers" $value -}}
{{- else if and (kindIs "float64" $value) (eq $value (floor $value)) -}}
{{- $_ := set $settings $name (int64 $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The host names go into the environment, because one of them is the pod's address. */ -}}
{{- define "poolgate.settingsFile" -}}
{{- $settings := deepCopy .Values.settings -}}
{{- $_ := include "poolgate.wholeNumbers" $settings -}}
{{- with $settings.server -}}
{{- $_ := unset . "allowed_hosts" -}}
{{- end -}}
# Written by Helm from the value `settings`. More settings are in the pod's environment.
{{ toToml $settings | trim }}
{{- end -}}

{{- /* Hosts that requests may name: those of Services, Ingress and settings, and the pod's address for Prometheus. */ -}}
{{- define "poolgate.allowedHosts" -}}
{{- $services := list (include "poolgate.fullname" .) -}}
{{- if eq (include "poolgate.mode" .) "gateway" -}}
{{- $services = append $services (include "poolgate.operatorsName" .) -}}
{{- end -}}
{{- $hosts := list -}}
{{- range $service := $services -}}
{{- $full := printf "%s.%s" $service $.Release.Namespace -}}
{{- $hosts = concat $hosts (list $service $full (print $full ".svc") (print $full ".svc.cluster.local")) -}}
{{- end -}}
{{- if .Values.ingress.enabled -}}
{{- $hosts = concat $hosts .Values.ingress.hosts -}}
{{- end -}}
{{- $hosts = concat $hosts (dig "server" "allowed_hosts" list .Values.settings) -}}
{{- append $hosts "$(POD_IP)" | uniq | join "," -}}
{{- end -}}

{{- /* Fails with what is wrong and what to do. The Deployment includes it. */ -}}
{{- define "poolgate.check" -}}
{{- $settings := .Values.settings -}}
{{- range $key, $instead := dict
    "server.bind" "set bindAddress; the port is 8000"
    "server.admin_bind" "set bindAddress; the port is 8009"
    "database.url" "put it into a Secret, because a ConfigMap is no place for a password, and name that in database.existingSecret"
    "server.admin_token" "put it into a Secret and name that in adminToken.existingSecret"
    "alerts.url" "put it into a Secret, because anyone who knows it can send alerts, and name that in alertsUrl.existingSecret"
    "alerts.secret" "put it into a Secret and name that in alertsSecret.existingSecret" -}}
{{- $path := splitList "." $key -}}
{{- if hasKey (get $settings (first $path) | default dict) (last $path) -}}
{{- fail (printf "settings.%s is not for this chart: %s" $key $instead) -}}
{{- end -}}
{{- end -}}

{{- $watched := dig "watch" "url" "" $settings -}}
{{- if regexMatch "://[^/@]*:[^/@]*@|[?&](password|token)=" $watched -}}
{{- fail "settings.watch.url has a password or a token: put the URL into a Secret, because a ConfigMap is no place for a password, and name that in watch.existingSecret" -}}
{{- end -}}
{{- if and $watched .Values.watch.existingSecret -}}
{{- fail "settings.watch.url and watch.existingSecret both name the source: remove one of them" -}}
{{- end -}}

{{- $mode := include "poolgate.mode" . -}}
{{- $demo := dig "demo" "enabled" false $settings -}}
{{- if and (eq $mode "pool") (not $demo) (not .Values.database.existingSecret) -}}
{{- fail "Poolgate has nothing to do: name the Secret with the database's URL in database.existingSecret, an app in settings.upstream.url, or a source in settings.watch.url" -}}
{{- end -}}

{{- $replicas := int .Values.replicas -}}
{{- $store := dig "cluster" "store" "" $settings -}}
{{- $isCluster := ne $store "" -}}
{{- if contains "@" $store -}}
{{- fail "settings.cluster.store has a password or a token: leave it out, because a ConfigMap is no place for a password, and set POOLGATE_CLUSTER__STORE from a Secret in extraEnv" -}}
{{- end -}}
{{- if and $isCluster (ne $mode "pool") -}}
{{- fail "settings.cluster.store needs a pool of its own, and a server with upstream.url or watch.url has none: remove settings.cluster" -}}
{{- end -}}
{{- if $isCluster -}}
{{- $most := int (dig "cluster" "max_replicas" 8 $settings) -}}
{{- if lt $most (mul 2 $replicas | int) -}}
{{- fail (printf "settings.cluster.max_replicas is %d, but must be at least %d: during a rolling deploy each of the %d replicas counts twice" $most (mul 2 $replicas) $replicas) -}}
{{- end -}}
{{- $connections := int (dig "cluster" "connections" 0 $settings) -}}
{{- if lt $connections (mul 5 $most | int) -}}
{{- fail (printf "settings.cluster.connections is %d, but must be at least %d, five for each of settings.cluster.max_replicas: set it to the connections that all replicas together may have" $connections (mul 5 $most)) -}}
{{- end -}}
{{- else if and (gt $replicas 1) (eq $mode "pool") (not (dig "database" "pgbouncer" false $settings)) -}}
{{- fail (printf "%d replicas would open %d times the connections of one: set settings.cluster.store to postgres or a NATS server and settings.cluster.connections to what all may have together, with settings.cluster.max_replicas at least %d, or set replicas to 1 (docs/cluster.md)" $replicas $replicas (mul 2 $replicas)) -}}
{{- end -}}
{{- if and (gt $replicas 1) (eq $mode "gateway") (not (dig "gate" "max_concurrent_requests" 0 $settings)) -}}
{{- fail (printf "each of %d gateways lets requests through on its own: set settings.gate.max_concurrent_requests to the size of the app's pool, divided by %d" $replicas $replicas) -}}
{{- end -}}

{{- $grace := .Values.terminationGracePeriodSeconds -}}
{{- $least := include "poolgate.gracePeriod" . | int -}}
{{- if and (not (kindIs "invalid" $grace)) (lt (int $grace) $least) -}}
{{- fail (printf "terminationGracePeriodSeconds is %d, but must be at least %d: settings.server.drain_delay, settings.server.drain_timeout and 5 s to stop" (int $grace) $least) -}}
{{- end -}}

{{- with .Values.networkPolicy -}}
{{- if and .enabled $.Values.serviceMonitor.enabled (eq $mode "gateway") (not .operatorsFrom) -}}
{{- fail "networkPolicy keeps Prometheus out: name its pods in networkPolicy.operatorsFrom, or turn serviceMonitor off" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.hosts is empty: name the host, because requests for others are refused" -}}
{{- end -}}
{{- end -}}
