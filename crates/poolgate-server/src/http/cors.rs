//! Which other sites' pages may read answers: those that are allowed by name.

use std::time::Duration;

use axum::Router;
use http::{HeaderName, HeaderValue, Method, header};
use poolgate_types::CONFIG_HEADER;
use tower_http::cors::{AllowOrigin, CorsLayer};

/// Lets pages of `origins` read the answers; changes nothing where there are none.
pub(super) fn layer(router: Router, origins: &[String]) -> Router {
    if origins.is_empty() {
        return router;
    }
    let origins: Vec<HeaderValue> = origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    let exposed = [
        HeaderName::from_static(CONFIG_HEADER),
        HeaderName::from_static("ratelimit"),
        HeaderName::from_static("ratelimit-policy"),
        header::RETRY_AFTER,
        header::ETAG,
        header::DATE,
        header::AGE,
    ];
    router.layer(
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers([header::CONTENT_TYPE, header::AUTHORIZATION, header::IF_NONE_MATCH])
            .expose_headers(exposed)
            .max_age(Duration::from_secs(600)),
    )
}
