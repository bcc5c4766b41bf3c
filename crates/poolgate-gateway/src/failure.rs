//! Why there is no answer of the app's, and what its client is told.

use std::{error::Error, io};

use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode};
use poolgate_server::problem;

/// Says what happened to a request that the app did not answer itself.
pub(crate) const OUTCOME: HeaderName = HeaderName::from_static("poolgate-outcome");
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// Why there is no answer of the app's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// It cannot be connected to.
    #[error("the app cannot be connected to: {0}")]
    Unreachable(io::Error),
    /// It does not accept connections in time.
    #[error("the app did not accept the connection in time (upstream.connect_timeout)")]
    ConnectTimeout,
    /// It closed the connection before its answer was complete.
    #[error("the app closed the connection before it answered")]
    Terminated,
    /// Its answer is not HTTP.
    #[error("the app's answer is not HTTP/1")]
    NotHttp,
    /// It switched protocols without having been asked to.
    #[error("the app switched protocols without being asked to")]
    UnaskedUpgrade,
    /// It takes too long for the head of its answer.
    #[error("the app did not answer in time (upstream.response_timeout)")]
    ResponseTimeout,
    /// The client sends the body too slowly.
    #[error("the request's body came too slowly")]
    SlowUpload,
    /// The client's body is too large.
    #[error("the request's body is larger than upstream.max_body_bytes")]
    LargeUpload,
    /// It says of itself that it cannot be used (`upstream.health_path`).
    #[error("the app answers {0} at upstream.health_path")]
    Unhealthy(StatusCode),
    /// As many streams are open as may be.
    #[error("as many event streams and WebSockets are open as upstream.max_streams allows")]
    NoStream,
}

impl Failure {
    /// What hyper's error means for the request.
    pub(crate) fn of(error: &hyper::Error) -> Self {
        if error.is_parse() || error.is_parse_status() || error.is_parse_too_large() {
            Self::NotHttp
        } else {
            tracing::debug!(%error, source = ?error.source(), "The app's connection ended");
            Self::Terminated
        }
    }

    /// Whether the app is to blame.
    pub(crate) fn is_of_the_app(&self) -> bool {
        !matches!(self, Self::SlowUpload | Self::LargeUpload | Self::NoStream)
    }

    fn parts(&self) -> (StatusCode, &'static str, &'static str, &'static str) {
        const BAD_GATEWAY: StatusCode = StatusCode::BAD_GATEWAY;
        const GATEWAY_TIMEOUT: StatusCode = StatusCode::GATEWAY_TIMEOUT;
        const UNREACHABLE: &str = "upstream_unreachable";
        const TIMEOUT: &str = "upstream_timeout";
        match self {
            Self::Unreachable(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                (BAD_GATEWAY, UNREACHABLE, UNREACHABLE, "connection_refused")
            }
            Self::Unreachable(_) => (BAD_GATEWAY, UNREACHABLE, UNREACHABLE, "destination_unavailable"),
            Self::ConnectTimeout => (GATEWAY_TIMEOUT, TIMEOUT, TIMEOUT, "connection_timeout"),
            Self::Terminated => (BAD_GATEWAY, UNREACHABLE, UNREACHABLE, "connection_terminated"),
            Self::Unhealthy(_) => (BAD_GATEWAY, UNREACHABLE, UNREACHABLE, "destination_unavailable"),
            Self::NotHttp => (BAD_GATEWAY, UNREACHABLE, UNREACHABLE, "http_protocol_error"),
            Self::UnaskedUpgrade => (BAD_GATEWAY, UNREACHABLE, UNREACHABLE, "http_upgrade_failed"),
            Self::ResponseTimeout => (GATEWAY_TIMEOUT, TIMEOUT, TIMEOUT, "http_response_timeout"),
            Self::SlowUpload => (StatusCode::REQUEST_TIMEOUT, "body_timeout", "rejected", "http_request_error"),
            Self::LargeUpload => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "rejected", "http_request_error"),
            Self::NoStream => {
                (StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", "rejected", "connection_limit_reached")
            }
        }
    }

    /// What happened to the request, in a word, and how the app failed if it did.
    pub(crate) fn outcome(&self) -> (&'static str, Option<&'static str>) {
        let (.., outcome, kind) = self.parts();
        (outcome, self.is_of_the_app().then_some(kind))
    }

    pub(crate) fn into_response(self) -> Response {
        let (status, code, outcome, error) = self.parts();
        let title = match status {
            StatusCode::BAD_GATEWAY => "The app does not answer",
            StatusCode::GATEWAY_TIMEOUT => "The app does not answer in time",
            StatusCode::REQUEST_TIMEOUT => "Request body too slow",
            StatusCode::PAYLOAD_TOO_LARGE => "Request body too large",
            _ => "Too many streams",
        };
        // Not the system's words: they may tell an address.
        let detail = match self {
            Self::Unreachable(_) => "The app cannot be connected to (upstream.url).".to_owned(),
            other => sentence(&other.to_string()),
        };
        let mut response = problem::response(status, code, title, detail);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response = problem::with_retry_after(response, 1);
        }
        let headers = response.headers_mut();
        headers.insert(OUTCOME, HeaderValue::from_static(outcome));
        if let Ok(value) = HeaderValue::try_from(format!("poolgate; error={error}")) {
            headers.insert(PROXY_STATUS, value);
        }
        if matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE) {
            // The rest of the body may still come.
            headers.insert(http::header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).chain(['.']).collect()
}
