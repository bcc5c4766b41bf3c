//! `gate.*`: the gate in front of the pool.

use std::time::Duration;

use documented::DocumentedFields;
use poolgate_control::gate;
use serde::{Deserialize, Serialize};

use super::{duration, list};

/// `gate.*`: the gate in front of the pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct GateSettings {
    /// Maximum number of requests in flight, 1 to 10,000. Default: 25.
    pub max_concurrent_requests: u32,
    /// How long a request waits for a permit, up to 1 min. Default: 500 ms.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Maximum number of queued requests, up to 100,000; further ones are rejected at once. Default: 100.
    pub max_queue: u32,
    /// The order in which queued requests are admitted, and when they are rejected early: `adaptive`, or `fifo`, first
    /// come, first served, always. Default: adaptive.
    pub order: QueueOrder,
    /// Maximum number of clients that count at one address for its share of the permits while others wait, 1 to
    /// 1,000,000. Default: 16.
    pub max_clients_per_address: u32,
    /// Beginnings of paths that a gateway passes on without a permit, such as `/static/`: those that use no database.
    /// Default: none.
    #[serde(deserialize_with = "list::deserialize")]
    pub bypass: Vec<String>,
    /// Whether answers say in `Server-Timing` how long they waited at the gate and for a connection (`gate`, `pool`), behind
    /// a gateway also how long the app took (`upstream`). The developer tools of browsers show it, and every client can
    /// read it. Default: false.
    pub server_timing: bool,
}

/// The order in which queued requests of one priority are admitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueOrder {
    /// First come, first served, until the queue stops draining; then light callers and the newest first, and requests
    /// that have waited long are rejected early. See [`poolgate_control::gate`].
    #[default]
    Adaptive,
    /// First come, first served, always.
    Fifo,
}

impl Default for GateSettings {
    fn default() -> Self {
        let gate::GateSettings { permits, max_queue, timeout, order: _ } = gate::GateSettings::default();
        Self {
            max_concurrent_requests: permits,
            timeout,
            // `as` is exact: the default is small.
            max_queue: max_queue as u32,
            order: QueueOrder::default(),
            max_clients_per_address: 16,
            bypass: Vec::new(),
            server_timing: false,
        }
    }
}
