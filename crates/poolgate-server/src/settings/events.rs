//! `events.*`: the event stream.

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

/// `events.*`: the event stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct EventSettings {
    /// Maximum number of open streams, 1 to 1,000,000; further ones get 503. Default: 20,000.
    pub max_streams: u32,
    /// Maximum number of open streams per address (IPv6: per /64), 1 to 1,000,000, and never more than half of
    /// `server.max_connections`; further ones get 503, and their clients poll. Behind a proxy that is not in
    /// `server.trusted_proxies` all clients share one address. Default: 1,000.
    pub max_streams_per_address: u32,
}

impl Default for EventSettings {
    fn default() -> Self {
        Self { max_streams: 20_000, max_streams_per_address: 1_000 }
    }
}
