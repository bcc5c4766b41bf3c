//! A server on a loopback address answers only to loopback names. Otherwise any web page could reach it by pointing a
//! name of its own at 127.0.0.1 (DNS rebinding), and the browser would take that page for the server's own.

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::Response,
};
use http::{HeaderMap, StatusCode, Uri, header};

use crate::problem;

/// Refuses requests whose `Host` is not a loopback name.
pub(in crate::http) fn refuse_foreign_hosts(router: Router) -> Router {
    router.layer(middleware::from_fn(async |request: Request, next: Next| {
        if is_loopback(request.headers(), request.uri()) { next.run(request).await } else { refusal() }
    }))
}

fn is_loopback(headers: &HeaderMap, uri: &Uri) -> bool {
    // HTTP/1.1 has it in the header, except for proxies; HTTP/2 in the target.
    let named = uri.authority().map(http::uri::Authority::as_str);
    let host = named.or_else(|| headers.get(header::HOST).and_then(|host| host.to_str().ok()));
    let Some(host) = host else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name.eq_ignore_ascii_case("localhost") || matches!(name, "127.0.0.1" | "[::1]")
}

fn refusal() -> Response {
    problem::response(
        StatusCode::FORBIDDEN,
        "foreign_host",
        "Foreign host name",
        "This server listens on a loopback address and answers to localhost, 127.0.0.1 and [::1] only. To serve other \
         names, bind another address (server.bind).",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback(host: &str) -> bool {
        let headers = HeaderMap::from_iter([(header::HOST, host.parse().expect("a header value"))]);
        is_loopback(&headers, &Uri::from_static("/"))
    }

    #[test]
    fn only_loopback_names_pass() {
        for host in ["localhost", "LocalHost:8000", "127.0.0.1", "127.0.0.1:8000", "[::1]", "[::1]:8000"] {
            assert!(loopback(host), "{host}");
        }
        for host in ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "::1", ""]
        {
            assert!(!loopback(host), "{host}");
        }
        assert!(!is_loopback(&HeaderMap::new(), &Uri::from_static("/")), "no host at all");
        assert!(!is_loopback(&HeaderMap::new(), &Uri::from_static("http://evil.example/")));
    }
}
