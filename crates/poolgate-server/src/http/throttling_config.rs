//! The config for clients that poll.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use poolgate_types::{Problem, ThrottlingConfig};

use crate::{Poolgate, problem};

/// Long enough for an edge cache to help, and short enough to do no harm; while the server fails an old config is
/// better than none.
const CACHE: HeaderValue = HeaderValue::from_static("max-age=1, stale-if-error=60");
const VARY: HeaderValue = HeaderValue::from_static("Origin");

/// The current config: the same bytes for every client, so that it can be cached.
#[utoipa::path(
    get,
    path = poolgate_types::routes::THROTTLING_CONFIG,
    tag = "health",
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of the client's config")),
    responses(
        (status = 200, description = "The current config", body = ThrottlingConfig,
            headers(("ETag" = String, description = "`\"<epoch>-<version>\"`"))),
        (status = 304, description = "The client's config is current"),
        (status = 503, description = "A replica that has just started and has not heard the others", body = Problem),
    )
)]
pub(super) async fn throttling_config(
    State(poolgate): State<Poolgate>,
    extensions: Extensions,
    headers: HeaderMap,
) -> Response {
    let shared = poolgate.shared();
    let document = shared.published.config();
    if !document.is_known() {
        return problem::with_retry_after(
            problem::unavailable("The config of the other replicas is not known yet."),
            1,
        );
    }
    if let Some(sender) = shared.proxies.sender(&extensions, &headers) {
        shared.clients.polled(sender.address, document.config.version);
    }
    let mut response = if is_current(&headers, &document.etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, "application/json")], document.json.clone()).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, document.etag.clone());
    headers.insert(header::CACHE_CONTROL, CACHE);
    headers.append(header::VARY, VARY);
    response
}

/// Compares `If-None-Match` as RFC 9110 defines it: a list, weak comparison.
fn is_current(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let etag = etag.as_bytes();
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .any(|candidate| candidate == b"*" || candidate.strip_prefix(b"W/").unwrap_or(candidate) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_none_match_is_a_list_compared_weakly() {
        let current = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static(text));
            is_current(&headers, &HeaderValue::from_static("\"7-3\""))
        };
        assert!(current("\"7-3\"") && current("W/\"7-3\"") && current("\"7-2\", \"7-3\"") && current("*"));
        assert!(!current("\"7-2\"") && !current("7-3") && !current(""));
    }
}
