//! What is in force, for people and pages to read.

use std::time::Duration;

use poolgate_types::{CircuitState, ConfigVersion, Health, Level};

use crate::{Eta, Limits};

/// A throttle at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct State {
    /// The server's level; NORMAL while there is no config.
    pub level: Level,
    /// The server's health; HEALTHY while there is no config.
    pub health: Health,
    /// The server's verdict and local evidence together.
    pub breaker: CircuitState,
    /// Limits act. `false`: only the breaker and pauses do.
    pub enforced: bool,
    /// The config in force outlived its time to live.
    pub stale: bool,
    /// Without a config or after [`NotFound`](crate::News::NotFound) or [`Closed`](crate::News::Closed): nothing acts.
    pub passes_through: bool,
    /// Permits given and not completed, without those of requests that bypass.
    pub in_flight: u32,
    /// Requests that wait.
    pub queued: usize,
    /// How long the oldest of them has waited; zero when none waits.
    pub oldest_wait: Duration,
    /// How long a request of normal priority that is submitted now will wait; `None`: unknown, because it depends on
    /// when requests in flight end, on the breaker, or on what arrives later; or it would be rejected.
    pub eta: Option<Eta>,
    /// The same for the one that has waited longest; `None` also when none waits.
    pub oldest_eta: Option<Eta>,
    /// How long the gate's last `Retry-After` still holds everything back; zero when it does not.
    pub paused_for: Duration,
    /// The config in force.
    pub version: Option<ConfigVersion>,
    /// Starts per second in force, `None` when unlimited. The same as `limits.rate_per_second`.
    pub rate_per_second: Option<f64>,
    /// All limits in force.
    pub limits: Limits,
}
