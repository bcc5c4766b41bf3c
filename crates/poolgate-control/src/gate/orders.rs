//! What the control loop tells the gate.

use std::time::Duration;

use poolgate_types::{CircuitState, Level, ThrottlingConfig};

/// Everything that the gate is told, decided once per tick and applied as a whole.
///
/// [`Gate::obey`](super::Gate::obey) applies the first four. The others are for the check of each arrival in front of
/// the gate: the circuit breaker and the [`Quota`](super::Quota). The default limits no client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GateOrders {
    /// Requests that may be in flight; `None` leaves the number as it is. More than that stay in flight until they end.
    pub permits: Option<u32>,
    /// Mean time for which a permit is held; `None`, while it is unknown, leaves it as it is.
    ///
    /// The queue of a priority is standing when its oldest request has waited for more than twice this time, at least
    /// 5 and at most 200 ms; requests that have waited for 2.25 times as long are then rejected. So is a request that
    /// has less than half of this time left before its deadline. Before the first order the queue is judged by 50 ms
    /// and deadlines by nothing.
    pub mean_hold: Option<Duration>,
    /// Clients are limited. The queue then has places for 2.1 mean holds (at least 20 ms, at most 400 ms, never more than
    /// by the settings), and is standing after 400 ms, otherwise after 500 ms.
    pub limited: bool,
    /// Admitted requests wait for connections that are being opened. The queue drains once those are open, so until
    /// then none is standing.
    pub filling: bool,
    /// State of the circuit breaker. Unless it is closed, only probes pass.
    pub circuit: CircuitState,
    /// Probes per second while the breaker is half-open, 0 otherwise.
    pub probes_per_second: f64,
    /// `Retry-After` for requests that the breaker rejects, 1 to 60 s.
    pub retry_after_seconds: u32,
    /// Requests per second that each client may send; `None` while no such limit is in force.
    pub fair_rate_per_second: Option<f64>,
}

impl GateOrders {
    /// Orders the limits that clients are told.
    pub(crate) fn limit_by(&mut self, config: &ThrottlingConfig) {
        // The fixed policy is always enforced, but its NORMAL row does not protect the database.
        self.limited = config.enforced && config.throttling_level > Level::Normal;
        self.fair_rate_per_second = config.fair_rate_per_second.filter(|_| config.enforced);
    }
}

impl Default for GateOrders {
    fn default() -> Self {
        Self {
            permits: None,
            mean_hold: None,
            limited: false,
            filling: false,
            circuit: CircuitState::Closed,
            probes_per_second: 0.0,
            retry_after_seconds: 1,
            fair_rate_per_second: None,
        }
    }
}
