//! Requests with an oversized head are refused with a document; the connection's own limit, behind it, cannot say why.

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::Response,
};
use http::{HeaderMap, StatusCode, Uri};

use crate::problem;

/// Refuses requests whose target and header fields hold more than `limit` bytes.
pub(in crate::http) fn refuse_large_heads(router: Router, limit: usize) -> Router {
    router.layer(middleware::from_fn(move |request: Request, next: Next| async move {
        if size(request.uri(), request.headers()) <= limit { next.run(request).await } else { refusal(limit) }
    }))
}

fn size(uri: &Uri, headers: &HeaderMap) -> usize {
    let target = uri.path_and_query().map_or(0, |target| target.as_str().len());
    target + headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>()
}

fn refusal(limit: usize) -> Response {
    problem::response(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "head_too_large",
        "Request head too large",
        format!("Target and header fields may hold {limit} bytes (server.max_header_bytes)."),
    )
}
