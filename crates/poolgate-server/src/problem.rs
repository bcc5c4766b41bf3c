//! Failures as RFC 9457 documents: every response that is not a success has one.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use poolgate_types::{Problem, codes};

/// A problem of a kind that its code names; the title says the kind in words, the detail what happened and what to do.
pub fn response(status: StatusCode, code: &str, title: &str, detail: impl Into<String>) -> Response {
    document(
        status,
        &Problem {
            kind: "about:blank".to_owned(),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            code: code.to_owned(),
        },
    )
}

/// The database cannot be used now: 503.
pub fn unavailable(detail: impl Into<String>) -> Response {
    document(StatusCode::SERVICE_UNAVAILABLE, &unavailable_problem(detail))
}

/// The document of [`unavailable`], for callers that add members.
pub(crate) fn unavailable_problem(detail: impl Into<String>) -> Problem {
    Problem {
        kind: Problem::TEMPORARY_REDUCED_CAPACITY.to_owned(),
        title: "The database is unavailable".to_owned(),
        status: StatusCode::SERVICE_UNAVAILABLE.as_u16(),
        detail: detail.into(),
        code: codes::DATABASE_UNAVAILABLE.to_owned(),
    }
}

/// There is nothing at this path: 404.
pub fn not_found(path: &str) -> Response {
    response(StatusCode::NOT_FOUND, "not_found", "Not found", format!("There is nothing at {path}."))
}

/// The path exists, but not for this method: 405. `allow` lists those that it has.
pub fn method_not_allowed(allow: &'static str) -> Response {
    let mut response = response(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "Method not allowed",
        format!("This path supports only {allow}."),
    );
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

/// Requests of this kind arrive too often: 429.
pub(crate) fn too_many(code: &str, detail: impl Into<String>, retry_after_seconds: u64) -> Response {
    with_retry_after(response(StatusCode::TOO_MANY_REQUESTS, code, "Too many requests", detail), retry_after_seconds)
}

/// Adds `Retry-After`, at least one second.
pub fn with_retry_after(mut response: Response, seconds: u64) -> Response {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    response
}

/// A document of this media type with this status.
pub(crate) fn document(status: StatusCode, document: &impl serde::Serialize) -> Response {
    let mut response = (status, Json(document)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(Problem::CONTENT_TYPE));
    response
}
