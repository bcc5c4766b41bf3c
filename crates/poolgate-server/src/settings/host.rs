//! Patterns of the server's host names: `app.example`, `app.example:8443`, `*.app.example`, `10.0.0.0/8`, `*`.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Serialize, Serializer};

use super::Network;

/// A pattern for the `Host` of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// `*`: every name.
    Any,
    /// `app.example`, or with `subdomains` every name that ends in it. Without a port every port matches.
    Name { name: String, port: Option<u16>, subdomains: bool },
    /// A range of addresses, with any port.
    Network(Network),
}

/// Neither a name nor an address range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a name such as app.example, app.example:8443, *.app.example, a network such as 10.0.0.0/8, or *")]
pub struct InvalidHostPattern;

impl HostPattern {
    /// Whether a request with this `Host` is meant for the server.
    pub(crate) fn matches(&self, host: &Host<'_>) -> bool {
        match &self.0 {
            Kind::Any => true,
            Kind::Name { port, .. } => port.is_none_or(|port| host.port == Some(port)) && self.names(host.name),
            Kind::Network(network) => host.address().is_some_and(|address| network.contains(address)),
        }
    }

    /// Whether pages of this origin are the server's own: the host matches, and the port is the named one or the
    /// scheme's default. `*` and networks only describe where requests arrive, so they match no page.
    pub(crate) fn owns(&self, origin: &Host<'_>) -> bool {
        matches!(&self.0, Kind::Name { port, .. } if *port == origin.port) && self.names(origin.name)
    }

    fn names(&self, given: &str) -> bool {
        let Kind::Name { name, subdomains, .. } = &self.0 else { return false };
        match given.len().checked_sub(name.len()).and_then(|start| given.split_at_checked(start)) {
            Some((before, end)) if end.eq_ignore_ascii_case(name) => {
                if *subdomains {
                    before.len() > 1 && before.ends_with('.')
                } else {
                    before.is_empty()
                }
            }
            _ => false,
        }
    }
}

impl FromStr for HostPattern {
    type Err = InvalidHostPattern;

    fn from_str(text: &str) -> Result<Self, InvalidHostPattern> {
        if text == "*" {
            return Ok(Self(Kind::Any));
        }
        if let Ok(network) = text.trim_start_matches('[').trim_end_matches(']').parse() {
            return Ok(Self(Kind::Network(network)));
        }
        let (subdomains, text) = text.strip_prefix("*.").map_or((false, text), |text| (true, text));
        let host = Host::parse(text).ok_or(InvalidHostPattern)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if host.address().is_none() && !host.name.chars().all(plain) {
            return Err(InvalidHostPattern);
        }
        Ok(Self(Kind::Name { name: host.name.to_ascii_lowercase(), port: host.port, subdomains }))
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Any => f.write_str("*"),
            Kind::Network(network) => write!(f, "{network}"),
            Kind::Name { name, port, subdomains } => {
                f.write_str(if *subdomains { "*." } else { "" })?;
                f.write_str(name)?;
                port.map_or(Ok(()), |port| write!(f, ":{port}"))
            }
        }
    }
}

impl Serialize for HostPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// `name[:port]`, as in a `Host` header or an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Host<'a> {
    /// Without the trailing dot of a complete name; an IPv6 address keeps its brackets.
    pub(crate) name: &'a str,
    pub(crate) port: Option<u16>,
}

impl<'a> Host<'a> {
    /// `None` for what is neither a name nor an address.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let colon = text.rfind(':').filter(|colon| !text[*colon..].contains(']'));
        let (name, port) = match colon {
            Some(colon) => (&text[..colon], Some(text[colon + 1..].parse().ok()?)),
            None => (text, None),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        let host = Self { name, port };
        let is_fine =
            if name.starts_with('[') { host.address().is_some() } else { !name.contains([':', '@', '/', ' ']) };
        (is_fine && !name.is_empty()).then_some(host)
    }

    /// The address, if the name is one.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        let inside = self.name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        inside.map_or_else(
            || self.name.parse().ok().filter(IpAddr::is_ipv4),
            |v6| v6.parse().ok().filter(IpAddr::is_ipv6),
        )
    }

    /// Whether it means this machine on every name server.
    pub(crate) fn is_loopback(&self) -> bool {
        self.name.eq_ignore_ascii_case("localhost")
            || self.address().is_some_and(|address| address.to_canonical().is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, host: &str) -> bool {
        let pattern: HostPattern = pattern.parse().unwrap_or_else(|_| panic!("{pattern} is a pattern"));
        Host::parse(host).is_some_and(|host| pattern.matches(&host))
    }

    #[test]
    fn a_pattern_matches_its_names() {
        for (pattern, host) in [
            ("app.example", "app.example"),
            ("app.example", "APP.example:8443"),
            ("App.Example", "app.example."),
            ("app.example:8443", "app.example:8443"),
            ("*.app.example", "a.app.example"),
            ("*.app.example", "a.b.app.example:80"),
            ("10.0.0.0/8", "10.1.2.3:8000"),
            ("10.1.2.3", "10.1.2.3:8000"),
            ("[2001:db8::1]", "[2001:db8::1]:8000"),
            ("10.1.2.3:8000", "10.1.2.3:8000"),
            ("*", "anything.example"),
        ] {
            assert!(matches(pattern, host), "{pattern} {host}");
        }
        for (pattern, host) in [
            ("app.example", "app.example.evil"),
            ("app.example", "evilapp.example"),
            ("app.example", "a.app.example"),
            ("app.example:8443", "app.example"),
            ("app.example:8443", "app.example:8444"),
            ("*.app.example", "app.example"),
            ("*.app.example", ".app.example"),
            ("*.app.example", "evilapp.example"),
            ("10.0.0.0/8", "10.evil.example"),
            ("10.0.0.0/8", "11.0.0.1"),
            ("app.example", "user@app.example"),
            ("app.example", "app.example:http"),
            ("*", ""),
        ] {
            assert!(!matches(pattern, host), "{pattern} {host}");
        }
    }

    #[test]
    fn only_names_match_pages() {
        let owns = |pattern: &str, origin: &str| {
            pattern.parse::<HostPattern>().expect("a pattern").owns(&Host::parse(origin).expect("a host"))
        };
        assert!(owns("app.example", "app.example"));
        assert!(owns("app.example:8443", "app.example:8443"));
        assert!(!owns("app.example", "app.example:8443"), "another server on that machine");
        assert!(!owns("*", "evil.example"));
        assert!(!owns("10.0.0.0/8", "10.1.2.3"));
    }

    #[test]
    fn invalid_patterns_are_refused() {
        for text in ["", "https://app.example", "app.example/path", "a b", "app.*", "*.", "**", "app.example:", "a@b"] {
            assert_eq!(text.parse::<HostPattern>(), Err(InvalidHostPattern), "{text}");
        }
    }

    #[test]
    fn a_pattern_is_written_as_it_is_read() {
        for text in ["app.example", "app.example:8443", "*.app.example", "10.0.0.0/8", "*", "2001:db8::/32"] {
            assert_eq!(text.parse::<HostPattern>().expect(text).to_string(), text);
        }
    }
}
