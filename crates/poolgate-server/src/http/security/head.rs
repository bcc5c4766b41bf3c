//! Refuses requests with an oversized head, with a document, because the connection's own limit cannot give a reason.
//! Also refuses requests whose body a proxy might delimit differently (request smuggling).

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::Response,
};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};

use crate::problem;

/// Refuses requests whose target and header fields exceed `limit` bytes, or whose body has an ambiguous end.
pub(in crate::http) fn refuse_bad_heads(router: Router, limit: usize) -> Router {
    router.layer(middleware::from_fn(move |request: Request, next: Next| async move {
        if size(request.uri(), request.headers()) > limit {
            too_large(limit)
        } else if !is_framed_clearly(request.headers()) {
            unclear_framing()
        } else {
            next.run(request).await
        }
    }))
}

/// Whether the body is chunked exactly once or not at all. hyper refuses the other ambiguities.
fn is_framed_clearly(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(header::TRANSFER_ENCODING).iter();
    encodings.next().is_none_or(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"chunked"))
        && encodings.next().is_none()
}

fn size(uri: &Uri, headers: &HeaderMap) -> usize {
    let target = uri.path_and_query().map_or(0, |target| target.as_str().len());
    target + headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>()
}

fn too_large(limit: usize) -> Response {
    problem::response(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "head_too_large",
        "Request head too large",
        format!("Target and header fields may hold {limit} bytes (server.max_header_bytes)."),
    )
}

fn unclear_framing() -> Response {
    let detail = "Transfer-Encoding must be `chunked`, once.";
    let mut response = problem::response(StatusCode::BAD_REQUEST, "invalid_request", "Invalid request", detail);
    // The rest of the connection cannot be trusted.
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
