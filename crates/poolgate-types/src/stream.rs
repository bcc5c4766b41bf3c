//! What the event stream says beside config and status.

use serde::{Deserialize, Serialize};

use crate::ConfigVersion;

/// A `heartbeat`: nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The config in force.
    #[serde(flatten)]
    pub at: ConfigVersion,
    /// If this stream breaks: a random part of this time is to pass before the client comes back, in milliseconds. It grows
    /// with the number of streams, so that a server that comes back is not stormed.
    pub return_within_ms: u32,
}

/// A `bye`: the server is going.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bye {
    /// As in [`Heartbeat::return_within_ms`].
    pub return_within_ms: u32,
}
