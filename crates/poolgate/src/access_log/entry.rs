//! The line of one request.

use std::{
    borrow::Cow,
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    response::Response,
};
use http::{HeaderMap, HeaderName, Method, Request, StatusCode, Version, header};
use http_body::{Body as _, Frame, SizeHint};
use jiff::{Timestamp, tz::TimeZone};
use pin_project_lite::pin_project;
use poolgate_server::{
    gate::{GateReport, trace_id},
    settings::AccessLog as Format,
};
use serde::Serialize;

use super::{AccessLog, request_id::RequestId};

/// What became of a request that the app behind a gateway did not answer itself.
const OUTCOME: HeaderName = HeaderName::from_static("poolgate-outcome");
/// nginx's status for a client that has left before the answer.
const LEFT: u16 = 499;

/// What is known of a request. Its line is written when this is dropped, so also when its client leaves.
pub(super) struct Entry {
    log: AccessLog,
    begun: Instant,
    time: Timestamp,
    id: RequestId,
    remote: Option<IpAddr>,
    method: Method,
    path: String,
    version: Version,
    trace_id: Option<String>,
    referrer: Option<String>,
    user_agent: Option<String>,
    answer: Option<Answer>,
    bytes: u64,
    is_complete: bool,
}

struct Answer {
    status: StatusCode,
    gate: Option<GateReport>,
    outcome: Option<String>,
}

/// A line of the format `json`.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    remote: Option<IpAddr>,
    method: &'a str,
    /// Without the query, which may hold a secret.
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
    /// Whether the client got the whole answer.
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
}

impl Entry {
    pub(super) fn new(log: &AccessLog, id: RequestId, request: &Request<Body>) -> Self {
        let headers = request.headers();
        Self {
            log: log.clone(),
            begun: Instant::now(),
            time: Timestamp::now(),
            id,
            remote: log.0.poolgate.sender(request.extensions(), headers),
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            version: request.version(),
            trace_id: trace_id(headers).map(str::to_owned),
            referrer: text(headers, header::REFERER),
            user_agent: text(headers, header::USER_AGENT),
            answer: None,
            bytes: 0,
            is_complete: false,
        }
    }

    /// The head of the answer is there.
    pub(super) fn answered(&mut self, response: &mut Response) {
        self.id.stamp_answer(response.headers_mut());
        self.answer = Some(Answer {
            status: response.status(),
            gate: response.extensions().get().cloned(),
            outcome: text(response.headers(), OUTCOME),
        });
        // Nothing more is sent.
        self.is_complete = self.method == Method::HEAD || response.body().is_end_stream();
    }

    fn json(&self) -> String {
        let answer = self.answer.as_ref();
        let gate = answer.and_then(|answer| answer.gate.as_ref());
        let line = Line {
            time: format!("{:.3}", self.time),
            request_id: self.id.as_str(),
            trace_id: self.trace_id.as_deref(),
            remote: self.remote,
            method: self.method.as_str(),
            path: &self.path,
            status: answer.map(|answer| answer.status.as_u16()),
            bytes: self.bytes,
            duration_ms: milliseconds(self.begun.elapsed()),
            gate: gate.map(|gate| gate.outcome),
            gate_wait_ms: gate.map(|gate| milliseconds(gate.waited)),
            acquire_wait_ms: gate.and_then(|gate| gate.acquired).map(|acquired| milliseconds(acquired.acquire_wait)),
            outcome: answer.and_then(|answer| answer.outcome.as_deref()),
            complete: self.is_complete,
            user_agent: self.user_agent.as_deref(),
        };
        serde_json::to_string(&line).unwrap_or_default()
    }

    fn combined(&self) -> String {
        let time = self.time.to_zoned(TimeZone::UTC).strftime("%d/%b/%Y:%H:%M:%S %z");
        let remote = self.remote.map_or_else(|| "-".to_owned(), |address| address.to_string());
        let status = self.answer.as_ref().map_or(LEFT, |answer| answer.status.as_u16());
        let bytes = if self.bytes == 0 { Cow::from("-") } else { Cow::from(self.bytes.to_string()) };
        let [path, referrer, user_agent] =
            [Some(self.path.as_str()), self.referrer.as_deref(), self.user_agent.as_deref()].map(quoted);
        let (method, version) = (&self.method, self.version);
        format!(r#"{remote} - - [{time}] "{method} {path} {version:?}" {status} {bytes} "{referrer}" "{user_agent}""#)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let line = match self.log.0.format {
            Format::Off => return,
            Format::Json => self.json(),
            Format::Combined => self.combined(),
        };
        self.log.0.writer.write(line);
    }
}

pin_project! {
    /// The body of an answer, which counts its bytes.
    pub(super) struct Logged {
        #[pin]
        body: Body,
        entry: Entry,
    }
}

impl Logged {
    pub(super) fn new(body: Body, entry: Entry) -> Self {
        Self { body, entry }
    }
}

impl http_body::Body for Logged {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut this = self.project();
        let polled = this.body.as_mut().poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                this.entry.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                // The transport does not ask again.
                this.entry.is_complete = this.body.is_end_stream();
            }
            Poll::Ready(None) => this.entry.is_complete = true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
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
