//! An address and port to listen on.

use std::net::SocketAddr;

use serde::{Deserialize, Deserializer, de};

/// Reads one; the error message contains an example.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    parse(&String::deserialize(deserializer)?)
}

/// Reads one that may be absent or empty.
pub(super) fn deserialize_option<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.filter(|text| !text.trim().is_empty()).map(|text| parse(&text)).transpose()
}

fn parse<E: de::Error>(text: &str) -> Result<SocketAddr, E> {
    let expected = "an address with a port, such as 127.0.0.1:8000, 0.0.0.0:8000 or [::1]:8000";
    text.trim().parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &expected))
}
