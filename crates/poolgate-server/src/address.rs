//! Who sent a request, as far as addresses tell.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::ConnectInfo;
use http::{Extensions, HeaderMap, HeaderName, header};

use crate::settings::Network;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The addresses of one household or host: an IPv4 address, or the /64 that IPv6 hosts choose their addresses from. Limits
/// for each address count by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressKey(IpAddr);

impl AddressKey {
    /// The key of this address. An IPv4 address mapped into IPv6 counts as the IPv4 address.
    pub fn new(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        })
    }
}

/// The sender of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sender {
    pub(crate) address: AddressKey,
    /// The peer, if it names another sender and is not a trusted proxy.
    pub(crate) untrusted_proxy: Option<IpAddr>,
}

impl Sender {
    /// The sender of a request; `None` if the server does not know the peer's address ([`axum::serve()`] without
    /// `into_make_service_with_connect_info`).
    pub(crate) fn of(extensions: &Extensions, headers: &HeaderMap, trusted: &[Network]) -> Option<Self> {
        let ConnectInfo(peer) = extensions.get::<ConnectInfo<SocketAddr>>()?;
        let peer = peer.ip();
        let names_sender = headers.contains_key(X_FORWARDED_FOR) || headers.contains_key(header::FORWARDED);
        let untrusted_proxy = (names_sender && !is_trusted(peer, trusted)).then_some(peer);
        Some(Self { address: AddressKey::new(sender(peer, headers, trusted)), untrusted_proxy })
    }
}

/// Whether a peer may say who sent a request.
pub(crate) fn is_trusted(peer: IpAddr, trusted: &[Network]) -> bool {
    trusted.iter().any(|network| network.contains(peer))
}

/// The nearest address that is not a trusted proxy. Each proxy appends the address that it received the request from,
/// so the list is read from right to left. The first untrusted address ends the search, because it may have written the
/// rest. A proxy that hides an address (`unknown`, `_hidden`) counts as the sender itself.
///
/// `Forwarded` (RFC 7239) is read only without `X-Forwarded-For`: most proxies know only `X-Forwarded-For` and pass on
/// a client's `Forwarded` unchecked.
pub(crate) fn sender(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let mut nearest = peer;
    let mut follow = |hop: &str| {
        let address = is_trusted(nearest, trusted).then(|| node(hop)).flatten();
        nearest = address.unwrap_or(nearest);
        address.is_some()
    };
    let lines =
        |name: HeaderName| headers.get_all(name).iter().rev().map(|line| String::from_utf8_lossy(line.as_bytes()));
    if headers.contains_key(X_FORWARDED_FOR) {
        for line in lines(X_FORWARDED_FOR) {
            if !line.rsplit(',').map(str::trim).filter(|hop| !hop.is_empty()).all(&mut follow) {
                break;
            }
        }
    } else {
        for line in lines(header::FORWARDED) {
            let elements = unquoted_parts(&line, ',').into_iter().filter(|element| !element.trim().is_empty());
            if !elements.map(forwarded_for).all(|hop| follow(&hop)) {
                break;
            }
        }
    }
    nearest
}

/// The value of `for` in one element of `Forwarded`, without quotes; empty if there is none.
fn forwarded_for(element: &str) -> String {
    let pairs = unquoted_parts(element, ';').into_iter().rev().filter_map(|pair| pair.split_once('='));
    let value =
        pairs.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("for")).map(|(_, value)| value.trim());
    let value = value.unwrap_or_default();
    let Some(quoted) = value.strip_prefix('"') else { return value.to_owned() };
    let mut text = String::new();
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => text.extend(characters.next()),
            other => text.push(other),
        }
    }
    text
}

/// The parts between separators outside of quotes, the last one first. It reads from the right: a proxy closes the quotes
/// that it opens, and an open quote further left, written by the client, must not hide what the proxy added.
fn unquoted_parts(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut end, mut is_quoted) = (Vec::new(), text.len(), false);
    for (at, character) in text.char_indices().rev() {
        if character == '"' && !ends_in_escape(text.get(..at).unwrap_or_default()) {
            is_quoted = !is_quoted;
        } else if character == separator && !is_quoted {
            parts.push(text.get(at + separator.len_utf8()..end).unwrap_or_default());
            end = at;
        }
    }
    parts.push(text.get(..end).unwrap_or_default());
    parts
}

/// Whether a backslash that is not itself escaped comes last.
fn ends_in_escape(text: &str) -> bool {
    text.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// An address as proxies write it: with or without port, brackets, quotes and the zone of a link-local address.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"').trim();
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Some(socket.ip());
    }
    let host = match text.strip_prefix('[') {
        // A hidden (`_port`) or missing port does not matter.
        Some(bracketed) => bracketed.split_once(']')?.0,
        None => match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => host,
            _ => text,
        },
    };
    host.split('%').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn sender_of(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        sender_by(&X_FORWARDED_FOR, peer, forwarded, trusted)
    }

    fn sender_by(name: &HeaderName, peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a header value"));
        }
        let trusted: Vec<Network> = trusted.iter().map(|network| network.parse().expect("a network")).collect();
        sender(peer.parse().expect("an address"), &headers, &trusted).to_string()
    }

    #[test]
    fn forwarded_addresses_are_believed_only_from_trusted_proxies() {
        assert_eq!(sender_of("203.0.113.9", &["198.51.100.1"], &[]), "203.0.113.9");
        assert_eq!(sender_of("10.0.0.1", &["198.51.100.1"], &["10.0.0.0/8"]), "198.51.100.1");
        assert_eq!(sender_of("10.0.0.1", &["6.6.6.6, 198.51.100.1, 10.0.0.2"], &["10.0.0.0/8"]), "198.51.100.1");
        assert_eq!(sender_of("10.0.0.1", &["6.6.6.6", "198.51.100.1"], &["10.0.0.0/8"]), "198.51.100.1");
        assert_eq!(sender_of("10.0.0.1", &["nonsense"], &["10.0.0.0/8"]), "10.0.0.1");
    }

    #[test]
    fn addresses_are_parsed_in_every_spelling() {
        for (hop, expected) in [
            ("198.51.100.1", "198.51.100.1"),
            (" 198.51.100.1:4411 ", "198.51.100.1"),
            ("\"198.51.100.1:4411\"", "198.51.100.1"),
            ("198.51.100.1:_hidden", "198.51.100.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("\"[2001:db8::1]:443\"", "2001:db8::1"),
            ("::ffff:198.51.100.1", "::ffff:198.51.100.1"),
            ("fe80::1%eth0", "fe80::1"),
            ("[fe80::1%25eth0]:80", "fe80::1"),
            ("198.51.100.1, , ", "198.51.100.1"),
            ("unknown", "10.0.0.1"),
            ("_hidden", "10.0.0.1"),
            ("[", "10.0.0.1"),
            ("]:1", "10.0.0.1"),
            (":80", "10.0.0.1"),
            ("198.51.100.1:4411:1", "10.0.0.1"),
            ("\u{fc}", "10.0.0.1"),
            ("\u{fc}, 198.51.100.1", "198.51.100.1"),
        ] {
            assert_eq!(sender_of("10.0.0.1", &[hop], &["10.0.0.0/8"]), expected, "{hop}");
        }
    }

    #[test]
    fn forwarded_is_parsed_as_in_its_standard() {
        for (lines, expected) in [
            (&["for=198.51.100.1"][..], "198.51.100.1"),
            (&["For=\"198.51.100.1:4411\";proto=https;by=10.0.0.9"], "198.51.100.1"),
            (&["proto=http; for=\"[2001:db8::1]:443\""], "2001:db8::1"),
            (&["for=6.6.6.6, for=198.51.100.1;by=\"a,b;for=7.7.7.7\", for=10.0.0.2"], "198.51.100.1"),
            (&["for=6.6.6.6", "for=198.51.100.1"], "198.51.100.1"),
            (&["for=\"\\1\\98.51.100.1\""], "198.51.100.1"),
            (&["for=6.6.6.6, for=unknown"], "10.0.0.1"),
            (&["for=6.6.6.6, for=\"_mdn\""], "10.0.0.1"),
            (&["for=6.6.6.6, proto=https"], "10.0.0.1"),
            (&["for=\"198.51.100.1"], "198.51.100.1"),
            (&["\"", "for", "=", "for="], "10.0.0.1"),
            // The client left a quote open; what the proxy added counts all the same.
            (&["for=6.6.6.6;x=\", for=198.51.100.1"], "198.51.100.1"),
            (&["for=6.6.6.6;x=\"\\, for=\"[2001:db8::1]:443\""], "2001:db8::1"),
        ] {
            let sender = sender_by(&header::FORWARDED, "10.0.0.1", lines, &["10.0.0.0/8"]);
            assert_eq!(sender, expected, "{lines:?}");
        }
    }

    #[test]
    fn a_chain_of_trusted_proxies_is_followed_to_its_end() {
        let trusted = ["10.0.0.0/8", "2001:db8:1::/48"];
        let chain = "6.6.6.6, 198.51.100.1:9, [2001:db8:1::7]:443, 10.2.2.2";
        assert_eq!(sender_of("10.0.0.1", &[chain], &trusted), "198.51.100.1");
        assert_eq!(sender_of("10.0.0.1", &["10.0.0.3, 10.0.0.2"], &trusted), "10.0.0.3", "all of them are proxies");
        let mut both = HeaderMap::new();
        both.insert(X_FORWARDED_FOR, HeaderValue::from_static("198.51.100.1"));
        both.insert(header::FORWARDED, HeaderValue::from_static("for=6.6.6.6"));
        let networks: Vec<Network> = vec!["10.0.0.0/8".parse().expect("a network")];
        let seen = sender("10.0.0.1".parse().expect("an address"), &both, &networks);
        assert_eq!(seen.to_string(), "198.51.100.1", "the client may have written the other");
    }

    proptest! {
        #[test]
        fn no_header_causes_a_panic(lines in prop::collection::vec(prop::collection::vec(32..=255_u8, 0..80), 0..4)) {
            let mut headers = HeaderMap::new();
            for line in lines {
                if let Ok(value) = HeaderValue::from_bytes(&line) {
                    headers.append(header::FORWARDED, value.clone());
                    headers.append(X_FORWARDED_FOR, value);
                }
            }
            let all: Vec<Network> = vec!["0.0.0.0/0".parse().expect("a network"), "::/0".parse().expect("a network")];
            let peer = IpAddr::from([10, 0, 0, 1]);
            let _ = sender(peer, &headers, &all);
            headers.remove(X_FORWARDED_FOR);
            let _ = sender(peer, &headers, &all);
        }

        #[test]
        fn the_address_that_the_proxy_adds_counts_for_any_header_of_a_client(written in "([ -~]|for=|[\"\\\\,;=]){0,40}") {
            for (name, added) in [(&X_FORWARDED_FOR, "198.51.100.1"), (&header::FORWARDED, "for=198.51.100.1")] {
                let on_one_line = [&*format!("{written}, {added}")];
                let sender = sender_by(name, "10.0.0.1", &on_one_line, &["10.0.0.0/8"]);
                prop_assert_eq!(sender, "198.51.100.1", "{}", written);
            }
        }

        #[test]
        fn an_address_is_the_same_with_and_without_a_port(address: IpAddr, port: u16) {
            let socket = SocketAddr::new(address, port).to_string();
            for text in [address.to_string(), socket.clone(), format!("\"{socket}\"")] {
                prop_assert_eq!(node(&text), Some(address), "{}", text);
            }
        }
    }

    #[test]
    fn an_ipv6_network_is_one_sender() {
        let key = |address: &str| AddressKey::new(address.parse().expect("an address"));
        assert_eq!(key("2001:db8:0:1::1"), key("2001:db8:0:1:ffff::2"));
        assert_ne!(key("2001:db8:0:1::1"), key("2001:db8:0:2::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }
}
