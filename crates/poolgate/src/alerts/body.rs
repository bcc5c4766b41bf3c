//! What is sent, in each format.

use jiff::Timestamp;
use poolgate_control::Notice;
use poolgate_server::settings::AlertFormat;
use poolgate_types::{Alert, Severity};
use serde_json::{Value, json};

/// The end of an alert that has none yet, as Alertmanager writes it.
const NO_END: &str = "0001-01-01T00:00:00Z";

/// What each alert says about its sender.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) instance: String,
    pub(super) page: Option<String>,
    pub(super) runbooks: Option<String>,
}

/// The body of a notice, JSON in every format.
pub(super) fn body(format: AlertFormat, notice: &Notice, origin: &Origin) -> Vec<u8> {
    let now = Timestamp::now().to_string();
    let document = match format {
        AlertFormat::Webhook => webhook(notice, origin, &now),
        AlertFormat::Alertmanager => Value::Array(alerts(notice, origin, &now, Flavour::ForAlertmanager)),
        AlertFormat::Slack => json!({ "text": text(notice, origin) }),
    };
    document.to_string().into_bytes()
}

/// The document of Alertmanager's webhook, version 4: one group with all alerts of this server.
fn webhook(notice: &Notice, origin: &Origin, now: &str) -> Value {
    let common = json!({ "job": "poolgate", "instance": origin.instance });
    json!({
        "version": "4",
        "groupKey": format!("{{}}:{{job=\"poolgate\", instance=\"{}\"}}", origin.instance),
        "truncatedAlerts": 0,
        "status": if notice.firing.is_empty() { "resolved" } else { "firing" },
        "receiver": "poolgate",
        "groupLabels": common,
        "commonLabels": common,
        "commonAnnotations": {},
        "externalURL": origin.page.as_deref().unwrap_or_default(),
        "alerts": alerts(notice, origin, now, Flavour::FromAlertmanager),
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flavour {
    FromAlertmanager,
    ForAlertmanager,
}

fn alerts(notice: &Notice, origin: &Origin, now: &str, flavour: Flavour) -> Vec<Value> {
    let firing = notice.firing.iter().map(|alert| entry(alert, None, origin, flavour));
    firing.chain(notice.resolved.iter().map(|alert| entry(alert, Some(now), origin, flavour))).collect()
}

fn entry(alert: &Alert, end: Option<&str>, origin: &Origin, flavour: Flavour) -> Value {
    let kind = alert.kind.as_str();
    let mut annotations = json!({ "summary": alert.message });
    if let Some(runbooks) = &origin.runbooks {
        annotations["runbook_url"] = format!("{}/{kind}", runbooks.trim_end_matches('/')).into();
    }
    // Without the severity, which may change while the alert goes on: its labels tell a receiver which alert it is.
    let identity = json!({ "alertname": name(kind), "kind": kind, "job": "poolgate", "instance": origin.instance });
    let mut entry = json!({ "labels": identity, "annotations": annotations, "startsAt": alert.since });
    if let Some(page) = &origin.page {
        entry["generatorURL"] = page.as_str().into();
    }
    match flavour {
        Flavour::ForAlertmanager => {
            entry["annotations"]["severity"] = severity(alert.severity).into();
            if let Some(end) = end {
                entry["endsAt"] = end.into();
            }
        }
        Flavour::FromAlertmanager => {
            entry["labels"]["severity"] = severity(alert.severity).into();
            entry["status"] = if end.is_some() { "resolved" } else { "firing" }.into();
            entry["endsAt"] = end.unwrap_or(NO_END).into();
            entry["fingerprint"] = fingerprint(&format!("{kind}@{}", origin.instance)).into();
            if origin.page.is_none() {
                entry["generatorURL"] = "".into();
            }
        }
    }
    entry
}

fn text(notice: &Notice, origin: &Origin) -> String {
    let link =
        origin.page.as_ref().map_or_else(|| origin.instance.clone(), |page| format!("<{page}|{}>", origin.instance));
    let firing = notice.firing.iter().map(|alert| {
        let runbook = origin
            .runbooks
            .as_ref()
            .map(|runbooks| format!(" <{}/{}|What to do>", runbooks.trim_end_matches('/'), alert.kind.as_str()));
        let severity = severity(alert.severity);
        format!("*{severity}* {}: {}{}", alert.kind.as_str(), escaped(&alert.message), runbook.unwrap_or_default())
    });
    let resolved = notice.resolved.iter().map(|alert| format!("over: {}", alert.kind.as_str()));
    let lines: Vec<String> = firing.chain(resolved).collect();
    format!("Poolgate {link}\n{}", lines.join("\n"))
}

/// Slack gives these characters a meaning.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// `PoolgateDatabaseSilent` of `database_silent`.
fn name(kind: &str) -> String {
    let words = kind.split('_').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_uppercase() + rest
    });
    format!("Poolgate{}", words.collect::<String>())
}

const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

/// FNV-1a, 64 bits in hexadecimal: the same for the same alert, and that is all that receivers use it for.
fn fingerprint(identity: &str) -> String {
    let hash = identity
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use poolgate_types::AlertKind;

    use super::*;

    #[test]
    fn a_text_for_slack_has_links_and_no_markup_of_its_own() {
        let alert = |kind, message: &str| Alert {
            kind,
            severity: Severity::Critical,
            message: message.to_owned(),
            since: "2026-01-01T00:00:00Z".to_owned(),
        };
        let notice = Notice {
            number: 1,
            firing: vec![alert(AlertKind::DatabaseSilent, "<no> answer & no hope")],
            resolved: vec![alert(AlertKind::GateFull, "full")],
        };
        let origin = Origin {
            instance: "10.0.0.1:8000".to_owned(),
            page: Some("https://poolgate.example/".to_owned()),
            runbooks: Some("https://docs.example/runbooks/".to_owned()),
        };
        let sent: Value = serde_json::from_slice(&body(AlertFormat::Slack, &notice, &origin)).expect("JSON");
        assert_eq!(
            sent["text"],
            "Poolgate <https://poolgate.example/|10.0.0.1:8000>\n\
             *critical* database_silent: &lt;no&gt; answer &amp; no hope \
             <https://docs.example/runbooks/database_silent|What to do>\n\
             over: gate_full"
        );
    }
}
