//! A snapshot of a throttle, for display.

use std::time::Duration;

use poolgate_types::{CircuitState, ConfigVersion, Health, Level};

use crate::{eta::Eta, limits::Limits};

/// A throttle at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct State {
    /// The server's level; NORMAL without a config.
    pub level: Level,
    /// The server's health; HEALTHY without a config.
    pub health: Health,
    /// State of the breaker: the server's verdict and local evidence together.
    pub breaker: CircuitState,
    /// `true`: the limits act. `false`: only the breaker and pauses act.
    pub enforced: bool,
    /// The config in force is older than its time to live.
    pub stale: bool,
    /// Nothing acts: there is no config, or the last news was [`NotFound`](crate::News::NotFound) or
    /// [`Closed`](crate::News::Closed).
    pub passes_through: bool,
    /// Permits that are not completed, except those of requests that bypass.
    pub in_flight: u32,
    /// Requests in the queue.
    pub queued: usize,
    /// Wait of the oldest queued request; zero with an empty queue.
    pub oldest_wait: Duration,
    /// How long a request of normal priority would wait if it were submitted now. `None`: unknown, because it depends
    /// on requests in flight, the breaker or later arrivals; or the request would be rejected.
    pub eta: Option<Eta>,
    /// Version of the config in force.
    pub version: Option<ConfigVersion>,
    /// Rate in force in starts per second, the same as `limits.rate_per_second`; `None`: unlimited.
    pub rate_per_second: Option<f64>,
    /// All limits in force.
    pub limits: Limits,
}
