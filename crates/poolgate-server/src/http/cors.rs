//! CORS: which other sites' pages may read answers.

use std::time::Duration;

use axum::Router;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use poolgate_types::CONFIG_HEADER;
use tower_http::cors::{AllowCredentials, AllowHeaders, AllowOrigin, CorsLayer};

use crate::settings::ServerSettings;

/// How long browsers cache a preflight.
const REMEMBERED: Duration = Duration::from_secs(600);

/// What a page may read of an answer of the gate.
const REVEALED: &str =
    "poolgate-config, poolgate-outcome, proxy-status, ratelimit, ratelimit-policy, retry-after, date";

/// Lets pages of `server.allowed_origins` read the answers; does nothing if there are none.
pub(super) fn layer(router: Router, server: &ServerSettings) -> Router {
    if server.allowed_origins.is_empty() {
        return router;
    }
    let origins: Vec<HeaderValue> = server.allowed_origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    let exposed = [
        HeaderName::from_static(CONFIG_HEADER),
        HeaderName::from_static("ratelimit"),
        HeaderName::from_static("ratelimit-policy"),
        header::RETRY_AFTER,
        header::ETAG,
        header::DATE,
        header::AGE,
    ];
    let credentials = server.allow_credentials;
    let trusted = origins.clone();
    router.layer(
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_credentials(AllowCredentials::predicate(move |origin, _| credentials && trusted.contains(origin)))
            .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers(headers(&server.allowed_headers))
            .expose_headers(exposed)
            .max_age(REMEMBERED),
    )
}

/// Which other sites' pages may read answers, for answers that no layer passes.
#[derive(Clone, Debug)]
pub struct Readers {
    origins: Vec<HeaderValue>,
    credentials: bool,
}

impl Readers {
    /// Those of `server.allowed_origins`.
    pub fn new(server: &ServerSettings) -> Self {
        let origins = server.allowed_origins.iter().filter_map(|origin| origin.parse().ok()).collect();
        Self { origins, credentials: server.allow_credentials }
    }

    /// Lets a page of this origin read an answer, if it is one of them.
    pub fn reveal(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        if self.origins.is_empty() {
            return;
        }
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        let Some(origin) = origin.filter(|origin| self.origins.contains(origin)) else { return };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(REVEALED));
        if self.credentials {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
}

/// The headers that the client and apps need, and the configured ones.
fn headers(listed: &[String]) -> AllowHeaders {
    if listed.iter().any(|name| name == "*") {
        return AllowHeaders::mirror_request();
    }
    let needed = [header::CONTENT_TYPE, header::AUTHORIZATION, header::IF_NONE_MATCH];
    AllowHeaders::list(needed.into_iter().chain(listed.iter().filter_map(|name| name.parse().ok())))
}
