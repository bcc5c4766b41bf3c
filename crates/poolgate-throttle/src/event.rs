//! What [`Throttle::poll`](crate::Throttle::poll) reports.

use poolgate_types::{CircuitState, Level};

use crate::{Permit, Rejection, RequestId};

/// Something that the caller must act on, or may want to know.
#[derive(Debug)]
#[must_use = "it may hold a permit"]
#[non_exhaustive]
pub enum Event {
    /// Send this queued request now.
    Start(RequestId, Permit),
    /// This queued request will not be sent.
    Rejected(RequestId, Rejection),
    /// The level is another one.
    LevelChanged {
        /// The level reported before.
        from: Level,
        /// The level now.
        to: Level,
    },
    /// The breaker, the server's verdict and local evidence together, is in another state.
    BreakerChanged {
        /// The state reported before.
        from: CircuitState,
        /// The state now.
        to: CircuitState,
    },
    /// The config has become stale (`true`) or fresh again (`false`).
    StaleChanged(bool),
}
