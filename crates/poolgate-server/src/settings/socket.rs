//! An address and port to listen on.

use std::net::SocketAddr;

use serde::{Deserialize, Deserializer, de};

/// Reads one; the error message contains an example.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    let expected = "an address with a port, such as 127.0.0.1:8000, 0.0.0.0:8000 or [::1]:8000 (--bind)";
    text.trim().parse().map_err(|_| de::Error::invalid_value(de::Unexpected::Str(&text), &expected))
}
