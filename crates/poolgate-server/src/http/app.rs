//! The whole server's router.

use std::net::SocketAddr;

use axum::{Router, extract::DefaultBodyLimit, response::Response};
use http::{StatusCode, Uri, header};
use tower_http::limit::RequestBodyLimitLayer;

use super::{cors, security};
use crate::{Poolgate, problem};

/// All routes of a standalone server: the health routes, the `own` routes beside them, and around both what protects a
/// server: limits on time and size, checks of host and site, and a problem document for every failure.
///
/// The CORS layer is the outermost, so that pages of `server.allowed_origins` can read errors as well.
pub fn app(poolgate: &Poolgate, own: Router) -> Router {
    app_at(poolgate, own, poolgate.settings().server.bind)
}

/// The same on another address than `server.bind`.
pub fn app_at(poolgate: &Poolgate, own: Router, bind: SocketAddr) -> Router {
    let server = &poolgate.settings().server;
    cors::layer(security::refuse_foreign_hosts(bounded(poolgate, own), bind, &server.allowed_hosts), server)
}

/// The health routes on the public address of a gateway: they answer to every name, because the names are the app's.
pub fn gateway_routes(poolgate: &Poolgate) -> Router {
    cors::layer(bounded(poolgate, Router::new()), &poolgate.settings().server)
}

fn bounded(poolgate: &Poolgate, own: Router) -> Router {
    let server = &poolgate.settings().server;
    let router = security::refuse_cross_site(super::bare_routes(poolgate).merge(own), server)
        .method_not_allowed_fallback(method_not_allowed)
        // The layer checks announced and streamed lengths; axum's own default would be lower.
        .layer(DefaultBodyLimit::disable())
        .layer(RequestBodyLimitLayer::new(server.max_body_bytes as usize))
        .layer(axum::middleware::map_response(name_the_problem));
    let router = security::bound_time(router, server.request_timeout);
    security::refuse_bad_heads(router, server.max_header_bytes as usize)
}

async fn method_not_allowed() -> Response {
    problem::response(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "Method not allowed",
        "This path does not support this method; the header Allow lists the supported ones.",
    )
}

/// Adds a problem document to failures without one (from the framework, not from a route).
async fn name_the_problem(uri: Uri, response: Response) -> Response {
    let status = response.status();
    let is_failure = status.is_client_error() || status.is_server_error();
    let content_type = response.headers().get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    if !is_failure || content_type.ends_with(b"json") {
        return response;
    }
    let (code, title, detail) = match status {
        StatusCode::NOT_FOUND => return problem::not_found(uri.path()),
        StatusCode::PAYLOAD_TOO_LARGE => {
            ("body_too_large", "Request body too large", "The body is larger than server.max_body_bytes allows.")
        }
        _ => ("request_failed", status.canonical_reason().unwrap_or("Request failed"), "The request was refused."),
    };
    let (parts, _) = response.into_parts();
    let mut named = problem::response(status, code, title, detail);
    // Its other headers (Allow, CORS) stay; those that describe the body are removed.
    for (name, value) in &parts.headers {
        if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
            named.headers_mut().append(name, value.clone());
        }
    }
    named
}
