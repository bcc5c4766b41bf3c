//! The events of the stream other than config and status.

use serde::{Deserialize, Serialize};

use crate::ConfigVersion;

/// A `heartbeat`: nothing has changed since the last event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The config in force.
    #[serde(flatten)]
    pub at: ConfigVersion,
    /// Reconnect window in milliseconds: after a break, a client reconnects at a random time within it. It grows with
    /// the number of streams, so that they do not all reconnect at once.
    pub return_within_ms: u32,
}

/// A `bye`: the server is shutting down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bye {
    /// Same as [`Heartbeat::return_within_ms`].
    pub return_within_ms: u32,
}
