//! What a tick decides.

use std::time::Duration;

use poolgate_types::{AlertKind, CircuitState, Health, Level, Reason, Severity, ThrottlingConfig};

/// The controller's answer to a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The config in force.
    pub config: ThrottlingConfig,
    /// The config differs from the previous decision's; its version is one higher.
    pub config_changed: bool,
    /// The pool's usage averaged over two seconds, 0 to 100.
    pub usage_percent: f64,
    /// Requests that may be in flight: the gate's permits, or fewer while the database does more with fewer at a time. For
    /// [`Gate::resize`](crate::gate::Gate::resize).
    pub permits: u32,
    /// For how long a gate permit is held, on average over the last seconds; `None` while nothing is known about it. For
    /// [`Gate::set_hold`](crate::gate::Gate::set_hold).
    pub mean_hold: Option<Duration>,
    /// Connections are being opened that requests wait for which were let in. For
    /// [`Gate::set_filling`](crate::gate::Gate::set_filling).
    pub filling: bool,
    /// State of the breaker.
    pub breaker: CircuitState,
    /// The alerts that are active.
    pub alerts: Vec<ActiveAlert>,
    /// The pool's usage has been above the critical threshold for five seconds. It stays set; pacing is the server's.
    pub cleanup_due: bool,
    /// What changed, for logs and metrics.
    pub events: Vec<Event>,
}

/// An alert and since when it is active.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveAlert {
    /// What it is about.
    pub kind: AlertKind,
    /// How urgent it is.
    pub severity: Severity,
    /// When it was raised to this severity, in the caller's time.
    pub since: Duration,
    /// What is wrong, in words with the figure at that moment.
    pub message: String,
}

/// A change that operators want to read about.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The health label changed.
    HealthChanged {
        /// Label before.
        from: Health,
        /// Label now.
        to: Health,
        /// Why.
        reason: Reason,
    },
    /// The throttling level changed.
    LevelChanged {
        /// Level before.
        from: Level,
        /// Level now.
        to: Level,
        /// Why.
        reason: Reason,
    },
    /// The breaker changed its state.
    BreakerChanged {
        /// State before.
        from: CircuitState,
        /// State now.
        to: CircuitState,
    },
    /// An alert was raised, or rose or fell to another severity.
    AlertRaised(ActiveAlert),
    /// An alert is over.
    AlertCleared(AlertKind),
}
