//! Refuses requests for foreign host names. Otherwise a web page could reach a server on this machine or network by
//! pointing its own name at it (DNS rebinding), and the browser would treat the page as the server's own.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::Response,
};
use http::{HeaderMap, StatusCode, Uri, header};
use poolgate_types::routes;

use crate::{
    problem,
    settings::{Host, HostPattern},
};

/// Refuses requests whose `Host` is not one of the server's. Probes are answered with any host or none: they come from
/// load balancers and have no effect.
pub(in crate::http) fn refuse_foreign_hosts(router: Router, bind: SocketAddr, allowed: &[HostPattern]) -> Router {
    let Some(names) = Names::of(bind, allowed) else { return router };
    let names = Arc::new(names);
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let names = Arc::clone(&names);
        async move {
            let is_probe = [routes::LIVEZ, routes::READYZ].contains(&request.uri().path());
            if is_probe || names.hold(request.headers(), request.uri()) { next.run(request).await } else { refusal() }
        }
    }))
}

/// The names that the server answers to.
struct Names {
    bound: IpAddr,
    allowed: Vec<HostPattern>,
}

impl Names {
    /// `None`: every name is accepted, because the address is reachable from elsewhere and no names are configured.
    fn of(bind: SocketAddr, allowed: &[HostPattern]) -> Option<Self> {
        let bound = bind.ip().to_canonical();
        let is_guarded = bound.is_loopback() || !allowed.is_empty();
        is_guarded.then(|| Self { bound, allowed: allowed.to_vec() })
    }

    fn hold(&self, headers: &HeaderMap, uri: &Uri) -> bool {
        let Some(host) = named(headers, uri) else { return false };
        host.is_loopback()
            || host.address().is_some_and(|address| address.to_canonical() == self.bound)
            || self.allowed.iter().any(|pattern| pattern.matches(&host))
    }
}

/// The host of a request, if it has one. HTTP/1.1 sends it in the header, except to proxies; HTTP/2 in the target.
fn named<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<Host<'a>> {
    let mut fields = headers.get_all(header::HOST).iter();
    let text = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => fields.next()?.to_str().ok()?,
    };
    // A second field could be meant for another server.
    if fields.next().is_some() && uri.authority().is_none() { None } else { Host::parse(text) }
}

fn refusal() -> Response {
    problem::response(
        StatusCode::FORBIDDEN,
        "foreign_host",
        "Foreign host name",
        "The host in the request is not one of this server's. Names other than localhost, 127.0.0.1 and [::1] \
         must be listed in server.allowed_hosts.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(bind: &str, allowed: &[&str], host: &str) -> bool {
        let allowed: Vec<_> = allowed.iter().map(|pattern| pattern.parse().expect("a pattern")).collect();
        let headers = HeaderMap::from_iter([(header::HOST, host.parse().expect("a header value"))]);
        Names::of(bind.parse().expect("an address"), &allowed)
            .is_none_or(|names| names.hold(&headers, &Uri::from_static("/")))
    }

    #[test]
    fn a_loopback_server_accepts_loopback_names_and_listed_ones() {
        for host in
            ["localhost", "LocalHost:8000", "127.0.0.1", "127.0.0.1:8000", "127.0.0.2:8000", "[::1]", "[::1]:8000"]
        {
            assert!(answers("127.0.0.1:8000", &[], host), "{host}");
            assert!(answers("0.0.0.0:8000", &["app.example"], host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8000",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "0.0.0.0",
            "::1",
            "",
        ] {
            assert!(!answers("127.0.0.1:8000", &[], host), "{host}");
            assert!(!answers("[::1]:8000", &["app.example"], host), "{host}");
        }
        assert!(answers("127.0.0.1:8000", &["app.example"], "app.example"));
    }

    #[test]
    fn a_public_server_accepts_every_name_unless_some_are_listed() {
        assert!(answers("0.0.0.0:8000", &[], "evil.example"));
        assert!(!answers("0.0.0.0:8000", &["app.example"], "evil.example"));
        assert!(answers("0.0.0.0:8000", &["app.example"], "app.example:443"));
        assert!(answers("192.0.2.1:8000", &["app.example"], "192.0.2.1:8000"), "its own address");
        assert!(!answers("192.0.2.1:8000", &["app.example"], "192.0.2.2:8000"));
    }

    #[test]
    fn a_request_with_no_or_several_hosts_has_none() {
        let none = HeaderMap::new();
        assert_eq!(named(&none, &Uri::from_static("/")), None);
        let target = Uri::from_static("http://evil.example/");
        assert_eq!(named(&none, &target).map(|host| host.name), Some("evil.example"));
        let mut two = HeaderMap::new();
        two.append(header::HOST, "localhost".parse().expect("a value"));
        two.append(header::HOST, "evil.example".parse().expect("a value"));
        assert_eq!(named(&two, &Uri::from_static("/")), None);
    }
}
