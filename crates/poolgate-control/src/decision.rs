//! The result of a tick.

use std::time::Duration;

use poolgate_types::{AlertKind, CircuitState, Health, Level, Reason, Severity, ThrottlingConfig};

use crate::{gate::GateOrders, gate_width::DatabaseUse};

/// The controller's answer to a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The config in force.
    pub config: ThrottlingConfig,
    /// The config differs from the previous decision's; its version is one higher.
    pub config_changed: bool,
    /// What the gate has to do, for [`Gate::obey`](crate::gate::Gate::obey).
    pub gate: GateOrders,
    /// How the database is. The config says the same, unless the controller [only
    /// observes](crate::Settings::observe_only).
    pub health: Health,
    /// The pool's usage averaged over two seconds, 0 to 100.
    pub usage_percent: f64,
    /// The gate's permits, without those that a trial takes away for a moment.
    pub proven_permits: u32,
    /// What the requests use of the database, where a source behind an app shows it.
    pub database_use: DatabaseUse,
    /// The active alerts.
    pub alerts: Vec<ActiveAlert>,
    /// The pool's usage has been above the critical threshold for five seconds. This stays `true` until usage falls;
    /// the server decides how often it cleans up.
    pub cleanup_due: bool,
    /// What changed, for logs and metrics.
    pub events: Vec<Event>,
}

impl Decision {
    /// The same decision of a server whose clients are told this config, which several servers share. `before` is the level
    /// that they were told until now.
    #[must_use]
    pub fn saying(mut self, config: ThrottlingConfig, before: Level) -> Self {
        self.gate.limit_by(&config);
        self.events.retain(|event| !matches!(event, Event::LevelChanged { .. }));
        let (to, reason) = (config.throttling_level, config.reason);
        if to != before {
            self.events.push(Event::LevelChanged { from: before, to, reason });
        }
        Self { config, ..self }
    }
}

/// An alert, and since when it is active.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveAlert {
    /// Its subject.
    pub kind: AlertKind,
    /// How urgent it is.
    pub severity: Severity,
    /// When it got this severity, in the caller's time.
    pub since: Duration,
    /// What is wrong, in words, with the figure at that moment.
    pub message: String,
}

/// A change that operators want to know about.
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
    /// An alert was raised, or its severity changed.
    AlertRaised(ActiveAlert),
    /// An alert has ended.
    AlertCleared(AlertKind),
}
