//! Refuses state-changing requests from pages of other sites.
//!
//! Browsers state the origin of a request in `Sec-Fetch-Site`, which pages cannot forge. If it is missing (older
//! browsers, URLs without TLS), `Origin` must be this server's own. A request with neither header does not come from a
//! browser.

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Method, StatusCode, Uri, header};

use crate::{
    problem,
    settings::{Host, HostPattern, ServerSettings},
};

/// Refuses cross-site requests with unsafe methods, except from allowed origins and from pages served under one of the
/// server's names.
pub(in crate::http) fn refuse_cross_site<S: Clone + Send + Sync + 'static>(
    router: Router<S>,
    server: &ServerSettings,
) -> Router<S> {
    let (origins, hosts) = (server.allowed_origins.clone(), server.allowed_hosts.clone());
    let allowed = Arc::new(Allowed { origins, hosts });
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

struct Allowed {
    origins: Vec<String>,
    hosts: Vec<HostPattern>,
}

fn is_safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(method)
}

fn is_own(headers: &HeaderMap, uri: &Uri, allowed: &Allowed) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("null"));
    let origin = text(header::ORIGIN.as_str());
    if origin.is_some_and(|origin| allowed.origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))) {
        return true;
    }
    match (text("sec-fetch-site"), origin) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, None) => true,
        (None, Some(origin)) => {
            // Without the scheme: behind a proxy that terminates TLS this server does not know it.
            let host = text(header::HOST.as_str()).or(uri.authority().map(http::uri::Authority::as_str));
            let Some((_, sender)) = origin.split_once("://") else { return false };
            // A proxy may have replaced `Host`: then the page's own host must be configured.
            let is_listed = |sender| allowed.hosts.iter().any(|pattern| pattern.owns(&sender));
            host.is_some_and(|host| host.eq_ignore_ascii_case(sender)) || Host::parse(sender).is_some_and(is_listed)
        }
    }
}

fn refusal() -> Response {
    problem::response(
        StatusCode::FORBIDDEN,
        "cross_site_request",
        "Cross-site request",
        "A page of another site sent this request. Add its origin to server.allowed_origins, or its host to \
         server.allowed_hosts if the page is this server's own behind a proxy.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(headers: &[(&'static str, &'static str)]) -> bool {
        let headers =
            headers.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
        let origins = vec!["https://app.example".to_owned()];
        let hosts = vec!["shop.example".parse().expect("a name")];
        is_own(&headers.collect(), &Uri::from_static("/"), &Allowed { origins, hosts })
    }

    #[test]
    fn the_site_of_the_sender_decides() {
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
        assert!(own(&[host, ("origin", "http://shop.example")]), "its own page, through a proxy");
        assert!(!own(&[host, ("origin", "http://shop.example:8080")]), "another server by that name");
        assert!(!own(&[host, ("origin", "https://shop.example"), ("sec-fetch-site", "cross-site")]));
        assert!(!own(&[host, ("origin", "null")]));
        assert!(!own(&[host, ("origin", "https://app.example.evil")]));
    }
}
