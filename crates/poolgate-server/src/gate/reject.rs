//! The answers to rejected requests. They must be cheap: their bodies are constants, except for the gate's figures, and
//! a reject touches no pool and allocates next to nothing.

use axum::body::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use poolgate_control::gate::{Occupancy, OverQuota, Reason};
use poolgate_types::Problem;

use crate::jitter::Jitter;

/// Why a request is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reject {
    /// The queue is full.
    QueueFull,
    /// No permit was free in time.
    Timeout,
    /// The request's body did not arrive in time.
    BodyTimeout,
    /// The server shuts down, and the request's body has not arrived.
    ShuttingDown,
    /// The database does not answer. The client may come back after this time.
    CircuitOpen { retry_after_seconds: u32 },
    /// The client sent more than its share. Its next request is due after this time.
    OverQuota { due_seconds: u32 },
}

impl Reject {
    /// In one word: `quota` (the client sent more than its share), `open` (the breaker is open) or `rejected`.
    pub(super) fn outcome(self) -> &'static str {
        match self {
            Self::OverQuota { .. } => "quota",
            Self::CircuitOpen { .. } => "open",
            Self::QueueFull | Self::Timeout | Self::BodyTimeout | Self::ShuttingDown => "rejected",
        }
    }

    /// The answer. `occupancy` reads the gate's figures, for a request that is rejected because the gate is full.
    pub(super) fn response(self, jitter: &Jitter, occupancy: impl FnOnce() -> Occupancy) -> Response<Bytes> {
        let (status, body) = match self {
            Self::QueueFull => (StatusCode::SERVICE_UNAVAILABLE, diagnosed(QUEUE_FULL, occupancy())),
            Self::Timeout => (StatusCode::SERVICE_UNAVAILABLE, diagnosed(TIMEOUT, occupancy())),
            Self::CircuitOpen { .. } => (StatusCode::SERVICE_UNAVAILABLE, Bytes::from_static(CIRCUIT_OPEN.as_bytes())),
            Self::OverQuota { .. } => (StatusCode::TOO_MANY_REQUESTS, Bytes::from_static(OVER_QUOTA.as_bytes())),
            Self::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, Bytes::from_static(BODY_TIMEOUT.as_bytes())),
            Self::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, Bytes::from_static(SHUTTING_DOWN.as_bytes())),
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(Problem::CONTENT_TYPE));
        if matches!(self, Self::BodyTimeout | Self::ShuttingDown) {
            // The rest of the body may still arrive.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if self == Self::BodyTimeout {
            return response;
        }
        headers.insert(header::RETRY_AFTER, HeaderValue::from(self.retry_after_seconds(jitter)));
        if let Self::OverQuota { due_seconds } = self {
            // Not later than Retry-After, which adds jitter.
            let limit = format!(r#""per-client";r=0;t={due_seconds}"#);
            headers.insert("ratelimit", HeaderValue::try_from(limit).unwrap_or(HeaderValue::from_static("")));
        }
        response
    }

    /// At least 1, and spread: clients that are rejected together must not come back together.
    fn retry_after_seconds(self, jitter: &Jitter) -> u32 {
        let least = match self {
            Self::QueueFull | Self::Timeout | Self::BodyTimeout | Self::ShuttingDown => 1,
            Self::CircuitOpen { retry_after_seconds } => retry_after_seconds,
            Self::OverQuota { due_seconds } => due_seconds,
        };
        let least = least.max(1);
        // `as` is exact: the bound is a u32.
        least + jitter.below(u64::from(least) + 2) as u32
    }
}

impl From<Reason> for Reject {
    /// To the client, every wait in the queue that ends without a permit is the same.
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::QueueFull => Self::QueueFull,
            Reason::Timeout | Reason::TooOld | Reason::Displaced | Reason::Deadline => Self::Timeout,
        }
    }
}

impl From<OverQuota> for Reject {
    fn from(over: OverQuota) -> Self {
        // `as` saturates; up to an hour fits.
        Self::OverQuota { due_seconds: over.due.as_secs_f64().ceil() as u32 }
    }
}

/// The document with the gate's figures as further members, named as in the status.
fn diagnosed(problem: &str, Occupancy { permits, in_flight, queued, .. }: Occupancy) -> Bytes {
    let members = problem.strip_suffix('}').unwrap_or(problem);
    let diagnosed =
        format!(r#"{members},"max_concurrent_requests":{permits},"in_flight":{in_flight},"waiting":{queued}}}"#);
    diagnosed.into()
}

/// An RFC 9457 document as a constant; a test compares it with [`Problem`].
macro_rules! problem {
    ($kind:literal, $title:literal, $status:literal, $code:literal, $detail:literal) => {
        concat!(
            r#"{"type":""#,
            $kind,
            r#"","title":""#,
            $title,
            r#"","status":"#,
            $status,
            r#","detail":""#,
            $detail,
            r#"","code":""#,
            $code,
            r#""}"#
        )
    };
}

const QUEUE_FULL: &str = problem!(
    "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
    "The database is busy",
    "503",
    "database_unavailable",
    "Too many requests are in flight and waiting. Try again after the time in Retry-After."
);
const TIMEOUT: &str = problem!(
    "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
    "The database is busy",
    "503",
    "database_unavailable",
    "No request in flight ended in time to let this one in. Try again after the time in Retry-After."
);
const CIRCUIT_OPEN: &str = problem!(
    "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
    "The database does not answer",
    "503",
    "database_unavailable",
    "The database does not answer; the server keeps trying. Try again after the time in Retry-After."
);
const OVER_QUOTA: &str = problem!(
    "https://iana.org/assignments/http-problem-types#quota-exceeded",
    "Too many requests",
    "429",
    "quota_exceeded",
    "The database is busy, and this client sends more than its share. Obey Poolgate-Config, or wait for Retry-After."
);
const BODY_TIMEOUT: &str = problem!(
    "about:blank",
    "Request body too slow",
    "408",
    "body_timeout",
    "The request's body did not arrive in time (server.body_timeout)."
);
const SHUTTING_DOWN: &str = problem!(
    "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
    "The server shuts down",
    "503",
    "shutting_down",
    "The server shuts down, and the request's body had not arrived. Try again after the time in Retry-After."
);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use poolgate_types::codes;

    use super::*;

    #[test]
    fn the_constants_are_problem_documents() {
        for (body, status, kind, code) in [
            (QUEUE_FULL, 503, Problem::TEMPORARY_REDUCED_CAPACITY, codes::DATABASE_UNAVAILABLE),
            (TIMEOUT, 503, Problem::TEMPORARY_REDUCED_CAPACITY, codes::DATABASE_UNAVAILABLE),
            (CIRCUIT_OPEN, 503, Problem::TEMPORARY_REDUCED_CAPACITY, codes::DATABASE_UNAVAILABLE),
            (OVER_QUOTA, 429, Problem::QUOTA_EXCEEDED, codes::QUOTA_EXCEEDED),
            (BODY_TIMEOUT, 408, "about:blank", "body_timeout"),
            (SHUTTING_DOWN, 503, Problem::TEMPORARY_REDUCED_CAPACITY, "shutting_down"),
        ] {
            let problem: Problem = serde_json::from_str(body).expect("a problem document");
            assert_eq!((problem.status, &*problem.kind, &*problem.code), (status, kind, code));
        }
    }

    #[test]
    fn retry_after_is_spread_and_never_early() {
        let jitter = Jitter::new();
        let seen =
            |reject: Reject| -> BTreeSet<u32> { (0..1000).map(|_| reject.retry_after_seconds(&jitter)).collect() };
        assert_eq!(seen(Reject::QueueFull), BTreeSet::from([1, 2, 3]));
        let quota = seen(Reject::OverQuota { due_seconds: 5 });
        assert!(quota.len() > 3 && quota.first() == Some(&5), "{quota:?}");
    }
}
