//! Requests that another server could understand in another way are refused before the gate.

use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version, header, uri::Authority};
use poolgate_server::problem;

/// Fields that `Connection` must not name: a proxy that obeyed would remove what the app relies on.
const PROTECTED: [&str; 4] = ["host", "forwarded", "authorization", "cookie"];
/// Beginnings of the names of others.
const PROTECTED_PREFIXES: [&str; 2] = ["x-forwarded-", "content-"];
/// Names that WSGI and CGI apps cannot tell from those with hyphens, which the gateway sets itself.
const TWINS: [&str; 6] =
    ["x_forwarded_for", "x_forwarded_proto", "x_forwarded_host", "content_length", "content_type", "transfer_encoding"];

/// The answer to a request that is refused.
pub(crate) fn refusal<B>(request: &Request<B>) -> Option<Response> {
    let (method, headers) = (request.method(), request.headers());
    if method == Method::CONNECT || method == Method::TRACE {
        let detail = format!("The gateway does not pass on {method}.");
        return Some(closing(problem::response(
            StatusCode::NOT_IMPLEMENTED,
            "not_implemented",
            "Not implemented",
            detail,
        )));
    }
    let problem = wrong_framing(request.version(), headers)
        .or_else(|| wrong_host(request))
        .or_else(|| wrong_connection(headers))
        .or_else(|| twin(headers))?;
    Some(closing(problem::response(StatusCode::BAD_REQUEST, "invalid_request", "Invalid request", problem)))
}

/// What follows on the connection may not be what it seems.
fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// hyper refuses the other ambiguities.
fn wrong_framing(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let mut encodings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let first = encodings.next()?;
    if version < Version::HTTP_11 {
        return Some("HTTP/1.0 has no Transfer-Encoding.");
    }
    let is_clear = first.as_bytes().eq_ignore_ascii_case(b"chunked") && encodings.next().is_none();
    (!is_clear).then_some("Transfer-Encoding must be `chunked`, once.")
}

fn wrong_host<B>(request: &Request<B>) -> Option<&'static str> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Some("Host must be there once.");
    }
    let Some(host) = host else {
        return (request.version() >= Version::HTTP_11).then_some("Host must be there once.");
    };
    // An empty one is allowed where the target has no authority.
    let named = (!host.is_empty()).then(|| Authority::try_from(host.as_bytes()));
    let target = request.uri().authority();
    match (named, target) {
        (Some(Err(_)), _) => Some("Host is no host name."),
        (Some(Ok(named)), _) if named.as_str().contains('@') => Some("Host must not hold a user."),
        (_, Some(target)) if target.as_str().contains('@') => Some("The target must not hold a user."),
        (Some(Ok(named)), Some(target)) if named.as_str().eq_ignore_ascii_case(target.as_str()) => None,
        (_, Some(_)) => Some("Host and the target's host differ."),
        _ => None,
    }
}

fn wrong_connection(headers: &HeaderMap) -> Option<&'static str> {
    let named = connection_options(headers);
    let is_protected =
        |name: &str| PROTECTED.contains(&name) || PROTECTED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    named.iter().any(|name| is_protected(name)).then_some("Connection names a field that is not the connection's.")
}

fn twin(headers: &HeaderMap) -> Option<&'static str> {
    let has_twin = headers.keys().any(|name| TWINS.contains(&name.as_str()));
    has_twin.then_some("A field's name is spelled with underscores.")
}

/// What `Connection` names, in lower case.
pub(crate) fn connection_options(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(header::CONNECTION).iter();
    let lines: Vec<_> = lines.map(|line| String::from_utf8_lossy(line.as_bytes()).to_ascii_lowercase()).collect();
    let names = lines.iter().flat_map(|line| line.split(','));
    names.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Removes what belongs to one connection alone: `Connection` and what it names, and the other fields of this kind.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    for name in connection_options(headers) {
        headers.remove(name.as_str());
    }
    const FIXED: [HeaderName; 9] = [
        header::CONNECTION,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("http2-settings"),
    ];
    for name in &FIXED {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(target: &str, fields: &[(&str, &str)]) -> bool {
        let mut request = Request::get(target).body(()).expect("a request");
        for (name, value) in fields {
            let name = HeaderName::try_from(*name).expect("a name");
            request.headers_mut().append(name, value.parse().expect("a value"));
        }
        refusal(&request).is_some()
    }

    #[test]
    fn a_request_has_one_host() {
        assert!(!is_refused("/", &[("host", "shop.example")]));
        assert!(!is_refused("/", &[("host", "shop.example:8443")]));
        assert!(!is_refused("/", &[("host", "")]));
        assert!(!is_refused("http://shop.example/", &[("host", "SHOP.example")]));
        assert!(is_refused("/", &[]));
        assert!(is_refused("/", &[("host", "a"), ("host", "a")]));
        assert!(is_refused("/", &[("host", "user@shop.example")]));
        assert!(is_refused("/", &[("host", "a b")]));
        assert!(is_refused("http://other.example/", &[("host", "shop.example")]));
        assert!(is_refused("http://user@shop.example/", &[("host", "shop.example")]));
    }

    #[test]
    fn connection_names_only_what_is_the_connections() {
        for named in ["close, X-Forwarded-For", "Host", "cookie", "Content-Length", "authorization", "Forwarded"] {
            assert!(is_refused("/", &[("host", "a"), ("connection", named)]), "{named}");
            assert!(is_refused("/", &[("host", "a"), ("connection", ""), ("connection", named)]), "{named}");
        }
        for named in ["close", "keep-alive, Upgrade", "x-hop", ""] {
            assert!(!is_refused("/", &[("host", "a"), ("connection", named)]), "{named}");
        }
    }

    #[test]
    fn fields_with_underscores_are_not_taken_for_those_with_hyphens() {
        assert!(is_refused("/", &[("host", "a"), ("x_forwarded_for", "203.0.113.9")]));
        assert!(!is_refused("/", &[("host", "a"), ("my_field", "1")]));
    }

    #[test]
    fn what_a_connection_names_goes_with_it() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("connection", "x-hop"), ("x-hop", "1"), ("te", "trailers"), ("trailer", "x-sum"), ("x", "2")]
        {
            headers.append(name, HeaderValue::from_static(value));
        }
        strip_hop_by_hop(&mut headers);
        let left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["trailer", "x"]);
    }
}
