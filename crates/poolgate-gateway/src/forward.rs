//! The heads of requests and answers as the next hop gets them.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version, header, uri::PathAndQuery};
use poolgate_server::settings::Network;

use crate::refuse::{connection_options, strip_hop_by_hop};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");

/// Whether a request asks for a WebSocket. No other upgrade is passed on.
pub(crate) fn asks_for_websocket<B>(request: &Request<B>) -> bool {
    request.method() == Method::GET && request.version() == Version::HTTP_11 && is_websocket(request.headers())
}

/// Whether the head upgrades its connection to a WebSocket.
pub(crate) fn is_websocket(headers: &HeaderMap) -> bool {
    let protocol = headers.get(header::UPGRADE);
    protocol.is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && connection_options(headers).iter().any(|option| option == "upgrade")
}

/// Makes of a request that came in the one that goes to the app. The target's bytes stay as they are.
pub(crate) fn to_app<B: http_body::Body>(request: &mut Request<B>, default_host: &HeaderValue, trusted: &[Network]) {
    let is_websocket = asks_for_websocket(request);
    let wants_trailers = wants_trailers(request.headers());
    let target = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(target);
    *request.version_mut() = Version::HTTP_11;
    let is_empty = request.body().is_end_stream();
    let has_length = request.body().size_hint().exact().is_some();
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let headers = request.headers_mut();
    strip_hop_by_hop(headers);
    headers.remove(header::EXPECT);
    // The body says how long it is; an empty one says so only here, and only where the client did.
    let says_empty = headers.get(header::CONTENT_LENGTH).is_some_and(|length| length == "0");
    if !(is_empty && says_empty) {
        headers.remove(header::CONTENT_LENGTH);
    }
    if !is_empty && !has_length {
        // hyper would take a GET for one without a body.
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if is_websocket {
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    } else if wants_trailers {
        headers.insert(header::CONNECTION, HeaderValue::from_static("TE"));
        headers.insert(header::TE, TRAILERS);
    }
    if !headers.contains_key(header::HOST) {
        headers.insert(header::HOST, default_host.clone());
    }
    name_the_sender(headers, peer, trusted);
}

fn wants_trailers(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::TE).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

/// Adds the peer to what a trusted proxy said about the sender. What any other peer said is replaced.
fn name_the_sender(headers: &mut HeaderMap, peer: Option<IpAddr>, trusted: &[Network]) {
    let Some(peer) = peer.map(|peer| peer.to_canonical()) else { return };
    let host = headers.get(header::HOST).cloned().unwrap_or(HeaderValue::from_static(""));
    let is_trusted = trusted.iter().any(|network| network.contains(peer));
    if !is_trusted {
        for name in [X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST, header::FORWARDED] {
            headers.remove(name);
        }
    }
    append(headers, &X_FORWARDED_FOR, peer.to_string().as_bytes());
    if !headers.contains_key(X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
    let node = if peer.is_ipv6() { format!(r#""[{peer}]""#) } else { peer.to_string() };
    let mut element = format!("for={node};proto=http").into_bytes();
    if is_token_or_port(host.as_bytes()) {
        element.extend_from_slice(b";host=\"");
        element.extend_from_slice(host.as_bytes());
        element.push(b'"');
    }
    append(headers, &header::FORWARDED, &element);
    headers.entry(X_FORWARDED_HOST).or_insert(host);
}

/// Whether a host can stand between quotes as it is.
fn is_token_or_port(host: &[u8]) -> bool {
    !host.is_empty() && host.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
}

/// Adds an element to a list, behind what is there, in one field.
fn append(headers: &mut HeaderMap, name: &HeaderName, element: &[u8]) {
    let mut list = Vec::new();
    for line in headers.get_all(name) {
        if !line.is_empty() {
            list.extend_from_slice(line.as_bytes());
            list.extend_from_slice(b", ");
        }
    }
    list.extend_from_slice(element);
    if let Ok(list) = HeaderValue::from_bytes(&list) {
        headers.insert(name, list);
    }
}

/// Makes of the app's head the one that goes to the client.
pub(crate) fn to_client(status: StatusCode, headers: &mut HeaderMap) {
    let is_chunked = headers.contains_key(header::TRANSFER_ENCODING);
    let upgrade = if status == StatusCode::SWITCHING_PROTOCOLS { headers.get(header::UPGRADE).cloned() } else { None };
    strip_hop_by_hop(headers);
    if is_chunked {
        // Beside chunks a length is wrong, and who believes it cuts the body.
        headers.remove(header::CONTENT_LENGTH);
    }
    if let Some(upgrade) = upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, upgrade);
    }
}

/// Whether an answer goes on for as long as the client likes.
pub(crate) fn is_event_stream(headers: &HeaderMap) -> bool {
    const EVENT_STREAM: &[u8] = b"text/event-stream";
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    content_type
        .and_then(|value| value.get(..EVENT_STREAM.len()))
        .is_some_and(|begin| begin.eq_ignore_ascii_case(EVENT_STREAM))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn sent(peer: &str, trusted: &[&str], fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut request = Request::post("/a?b").body(Body::empty()).expect("a request");
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer.parse().expect("an address"), 4711)));
        request.headers_mut().insert("host", HeaderValue::from_static("shop.example:8443"));
        for (name, value) in fields {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        let trusted: Vec<Network> = trusted.iter().map(|network| network.parse().expect("a network")).collect();
        to_app(&mut request, &HeaderValue::from_static("app"), &trusted);
        request.headers().clone()
    }

    #[test]
    fn a_strangers_word_about_the_sender_is_replaced() {
        let lies = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-proto", "https"), ("forwarded", "for=6.6.6.6")];
        let headers = sent("203.0.113.9", &[], &lies);
        assert_eq!(headers["x-forwarded-for"], "203.0.113.9");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-host"], "shop.example:8443");
        assert_eq!(headers["forwarded"], r#"for=203.0.113.9;proto=http;host="shop.example:8443""#);
        assert_eq!(headers["host"], "shop.example:8443");
    }

    #[test]
    fn the_word_of_a_trusted_proxy_is_kept_and_the_proxy_is_added() {
        let said = [("x-forwarded-for", "198.51.100.1"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "shop")];
        let headers = sent("::ffff:10.0.0.1", &["10.0.0.0/8"], &said);
        assert_eq!(headers["x-forwarded-for"], "198.51.100.1, 10.0.0.1");
        assert_eq!(
            (&headers["x-forwarded-proto"], &headers["x-forwarded-host"]),
            (&"https".parse().unwrap(), &"shop".parse().unwrap())
        );
        let headers = sent(
            "2001:db8::1",
            &["2001:db8::/32"],
            &[("forwarded", "for=198.51.100.1"), ("forwarded", "for=10.0.0.2")],
        );
        let list = r#"for=198.51.100.1, for=10.0.0.2, for="[2001:db8::1]";proto=http;host="shop.example:8443""#;
        assert_eq!(headers["forwarded"], list);
    }

    #[test]
    fn an_empty_body_keeps_its_length_and_no_other_does() {
        assert_eq!(sent("203.0.113.9", &[], &[("content-length", "0")])["content-length"], "0");
        assert!(!sent("203.0.113.9", &[], &[("content-length", "7")]).contains_key("content-length"));
    }

    #[test]
    fn a_length_beside_chunks_is_not_passed_on() {
        let mut headers = HeaderMap::new();
        headers.insert("transfer-encoding", HeaderValue::from_static("chunked"));
        headers.insert("content-length", HeaderValue::from_static("5"));
        to_client(StatusCode::OK, &mut headers);
        assert!(headers.is_empty(), "{headers:?}");
    }
}
