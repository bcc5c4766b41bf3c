//! State-changing requests that another site's page makes in a user's browser are refused.
//!
//! Browsers say where a request comes from in `Sec-Fetch-Site`, which pages cannot forge; where that is missing (older
//! browsers, addresses without TLS) `Origin` must be this server's own. A request with neither comes from no browser.

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Method, StatusCode, Uri, header};

use crate::problem;

/// Refuses cross-site requests that are not safe methods, except from `allowed` origins.
pub(in crate::http) fn refuse_cross_site<S: Clone + Send + Sync + 'static>(
    router: Router<S>,
    allowed: &[String],
) -> Router<S> {
    let allowed: Arc<[String]> = allowed.into();
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let allowed = Arc::clone(&allowed);
        async move {
            if is_safe(request.method()) || is_own(request.headers(), request.uri(), &allowed) {
                next.run(request).await
            } else {
                refusal().into_response()
            }
        }
    }))
}

fn is_safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(method)
}

fn is_own(headers: &HeaderMap, uri: &Uri, allowed: &[String]) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("null"));
    let origin = text(header::ORIGIN.as_str());
    if origin.is_some_and(|origin| allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))) {
        return true;
    }
    match (text("sec-fetch-site"), origin) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, None) => true,
        (None, Some(origin)) => {
            // The scheme is left out: behind a proxy that ends TLS this server does not know it.
            let host = text(header::HOST.as_str()).or(uri.authority().map(http::uri::Authority::as_str));
            let sender = origin.split_once("://").map(|(_, host)| host);
            host.zip(sender).is_some_and(|(host, sender)| host.eq_ignore_ascii_case(sender))
        }
    }
}

fn refusal() -> Response {
    problem::response(
        StatusCode::FORBIDDEN,
        "cross_site_request",
        "Cross-site request",
        "Another site's page sent this request. Its origin must be listed in server.allowed_origins.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(headers: &[(&'static str, &'static str)]) -> bool {
        let headers =
            headers.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
        is_own(&headers.collect(), &Uri::from_static("/"), &["https://app.example".to_owned()])
    }

    #[test]
    fn the_senders_site_decides() {
        let host = ("host", "127.0.0.1:8000");
        assert!(own(&[host]), "no browser");
        assert!(own(&[host, ("sec-fetch-site", "same-origin")]));
        assert!(own(&[host, ("sec-fetch-site", "none")]), "typed by the user");
        assert!(!own(&[host, ("sec-fetch-site", "cross-site")]));
        assert!(!own(&[host, ("sec-fetch-site", "same-site")]));
        assert!(!own(&[host, ("sec-fetch-site", "cross-site"), ("origin", "http://127.0.0.1:8000")]));
        assert!(own(&[host, ("sec-fetch-site", "cross-site"), ("origin", "https://app.example")]), "allowed");
        assert!(own(&[host, ("origin", "http://127.0.0.1:8000")]));
        assert!(!own(&[host, ("origin", "http://127.0.0.1:9000")]));
        assert!(!own(&[host, ("origin", "null")]));
        assert!(!own(&[host, ("origin", "https://app.example.evil")]));
    }
}
