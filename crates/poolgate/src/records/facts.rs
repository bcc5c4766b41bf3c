//! What is known of one request.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderName, Method, Request, StatusCode, Version, header};
use jiff::Timestamp;
use poolgate_server::{
    Poolgate,
    gate::{GateReport, trace_id},
};

use super::request_id::RequestId;

/// What became of a request that the app behind a gateway did not answer itself.
const OUTCOME: HeaderName = HeaderName::from_static("poolgate-outcome");

/// What is known of a request, for its line and its span.
pub(crate) struct Facts {
    pub(crate) begun: Instant,
    pub(crate) time: Timestamp,
    pub(crate) id: RequestId,
    pub(crate) remote: Option<IpAddr>,
    pub(crate) method: Method,
    /// Without the query, which may hold a secret.
    pub(crate) path: String,
    pub(crate) version: Version,
    pub(crate) trace_id: Option<String>,
    pub(crate) referrer: Option<String>,
    pub(crate) user_agent: Option<String>,
    /// `None`: its client has left before.
    pub(crate) answer: Option<Answer>,
    pub(crate) bytes: u64,
    /// Whether the client got the whole answer.
    pub(crate) is_complete: bool,
}

/// The head of the answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) gate: Option<GateReport>,
    pub(crate) outcome: Option<String>,
}

impl Facts {
    pub(super) fn new(poolgate: &Poolgate, id: RequestId, request: &Request<Body>) -> Self {
        let headers = request.headers();
        Self {
            begun: Instant::now(),
            time: Timestamp::now(),
            id,
            remote: poolgate.sender(request.extensions(), headers),
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

    /// The head of the answer is there; `is_whole`: nothing follows it.
    pub(super) fn answered(&mut self, response: &Response, is_whole: bool) {
        self.answer = Some(Answer {
            status: response.status(),
            gate: response.extensions().get().cloned(),
            outcome: text(response.headers(), OUTCOME),
        });
        self.is_complete = is_whole || self.method == Method::HEAD;
    }

    /// Time since the request came.
    pub(crate) fn duration(&self) -> Duration {
        self.begun.elapsed()
    }

    /// What the gate did.
    pub(crate) fn gate(&self) -> Option<&GateReport> {
        self.answer.as_ref()?.gate.as_ref()
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}
