//! The line of one request in the access log.

use std::{borrow::Cow, net::IpAddr, time::Duration};

use jiff::tz::TimeZone;
use poolgate_server::settings::AccessLog as Format;
use serde::Serialize;

use super::facts::Facts;

/// nginx's status for a client that has left before the answer.
const LEFT: u16 = 499;

/// A line of the format `json`.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    remote: Option<IpAddr>,
    method: &'a str,
    path: &'a str,
    status: Option<u16>,
    bytes: u64,
    duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    gate: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gate_wait_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acquire_wait_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'a str>,
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
}

/// The line in this format.
pub(super) fn of(facts: &Facts, format: Format) -> Option<String> {
    match format {
        Format::Off => None,
        Format::Json => Some(json(facts)),
        Format::Combined => Some(combined(facts)),
    }
}

fn json(facts: &Facts) -> String {
    let (answer, gate) = (facts.answer.as_ref(), facts.gate());
    let line = Line {
        time: format!("{:.3}", facts.time),
        request_id: facts.id.as_str(),
        trace_id: facts.trace_id.as_deref(),
        remote: facts.remote,
        method: facts.method.as_str(),
        path: &facts.path,
        status: answer.map(|answer| answer.status.as_u16()),
        bytes: facts.bytes,
        duration_ms: milliseconds(facts.duration()),
        gate: gate.map(|gate| gate.outcome),
        gate_wait_ms: gate.map(|gate| milliseconds(gate.waited)),
        acquire_wait_ms: gate.and_then(|gate| gate.acquired).map(|acquired| milliseconds(acquired.acquire_wait)),
        outcome: answer.and_then(|answer| answer.outcome.as_deref()),
        complete: facts.is_complete,
        user_agent: facts.user_agent.as_deref(),
    };
    serde_json::to_string(&line).unwrap_or_default()
}

fn combined(facts: &Facts) -> String {
    let time = facts.time.to_zoned(TimeZone::UTC).strftime("%d/%b/%Y:%H:%M:%S %z");
    let remote = facts.remote.map_or_else(|| "-".to_owned(), |address| address.to_string());
    let status = facts.answer.as_ref().map_or(LEFT, |answer| answer.status.as_u16());
    let bytes = if facts.bytes == 0 { Cow::from("-") } else { Cow::from(facts.bytes.to_string()) };
    let [path, referrer, user_agent] =
        [Some(facts.path.as_str()), facts.referrer.as_deref(), facts.user_agent.as_deref()].map(quoted);
    let (method, version) = (&facts.method, facts.version);
    format!(r#"{remote} - - [{time}] "{method} {path} {version:?}" {status} {bytes} "{referrer}" "{user_agent}""#)
}

/// To a microsecond.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// As Apache writes it: what could end the text or the line is escaped.
fn quoted(text: Option<&str>) -> String {
    let mut quoted = String::new();
    for byte in text.unwrap_or("-").bytes() {
        match byte {
            b'"' | b'\\' => quoted.extend(['\\', char::from(byte)]),
            b' '..=b'~' => quoted.push(char::from(byte)),
            _ => quoted.push_str(&format!("\\x{byte:02x}")),
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_the_client_cannot_end_the_line() {
        assert_eq!(quoted(None), "-");
        assert_eq!(quoted(Some("curl/8 \"x\" \\ \n ü")), r#"curl/8 \"x\" \\ \x0a \xc3\xbc"#);
    }
}
