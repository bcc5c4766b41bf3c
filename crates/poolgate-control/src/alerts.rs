//! Alerts: raised at once, cleared after calm.

use std::time::Duration;

use poolgate_types::{AlertKind, CircuitState, Severity};

use crate::{
    decision::{ActiveAlert, Event},
    ladder::Ladder,
    settings::Thresholds,
};

#[derive(Clone, Debug)]
pub(crate) struct Alerts {
    usage: Ladder<3>,
    active: Vec<ActiveAlert>,
}

impl Alerts {
    pub(crate) const fn new(thresholds: Thresholds) -> Self {
        let Thresholds { info_percent, warning_percent, critical_percent } = thresholds;
        Self { usage: Ladder::new([info_percent, warning_percent, critical_percent]), active: Vec::new() }
    }

    pub(crate) fn update(&mut self, usage_percent: f64, breaker: CircuitState, now: Duration, events: &mut Vec<Event>) {
        let usage = match self.usage.update(usage_percent, now) {
            0 => None,
            1 => Some(Severity::Info),
            2 => Some(Severity::Warning),
            _ => Some(Severity::Critical),
        };
        self.set(AlertKind::PoolUsage, usage, now, events, || format!("connection pool usage {usage_percent:.1} %"));
        let unreachable = (breaker != CircuitState::Closed).then_some(Severity::Critical);
        self.set(AlertKind::DatabaseUnreachable, unreachable, now, events, || {
            "the database does not answer".to_owned()
        });
    }

    pub(crate) fn active(&self) -> &[ActiveAlert] {
        &self.active
    }

    fn set(
        &mut self,
        kind: AlertKind,
        severity: Option<Severity>,
        now: Duration,
        events: &mut Vec<Event>,
        message: impl FnOnce() -> String,
    ) {
        let before = self.active.iter().find(|alert| alert.kind == kind).map(|alert| alert.severity);
        if before == severity {
            return;
        }
        self.active.retain(|alert| alert.kind != kind);
        match severity {
            Some(severity) => {
                let alert = ActiveAlert { kind, severity, since: now, message: message() };
                self.active.push(alert.clone());
                events.push(Event::AlertRaised(alert));
            }
            None => events.push(Event::AlertCleared(kind)),
        }
    }
}
