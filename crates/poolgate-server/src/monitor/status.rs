//! The status, from a reading and the decision that followed.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use poolgate_control::{ActiveAlert, Decision};
use poolgate_types::{Alert, AlertKind, Backend, Forecast, Performance, Severity, Status};

use super::{
    cleanup::Cleaner,
    documents::{gate_status, pool_status},
    sampler::Reading,
};
use crate::watched::{BlindSpot, Visibility, WatchedPool};

/// Writes the status.
#[derive(Debug)]
pub(super) struct StatusWriter {
    pub(super) pool: Arc<dyn WatchedPool>,
    pub(super) cleaner: Arc<Cleaner>,
    pub(super) started_at: Timestamp,
}

impl StatusWriter {
    pub(super) fn write(
        &self,
        decision: &Decision,
        reading: &Reading,
        backend: Backend,
        performance: Performance,
        forecast: Option<Forecast>,
    ) -> Status {
        let Reading { figures, occupancy, totals, visibility, clients, .. } = reading;
        let Decision { config, gate, health, .. } = decision;
        Status {
            health: *health,
            throttling_level: config.throttling_level,
            emergency_mode_active: config.emergency_mode_active,
            circuit_breaker: gate.circuit,
            pool: pool_status(figures, backend),
            gate: (*visibility == Visibility::Gated).then(|| gate_status(occupancy, totals)),
            performance,
            clients: *clients,
            last_cleanup: self.cleaner.newest(),
            alerts: self.alerts(decision),
            forecast,
            fair_rate_per_second: config.fair_rate_per_second,
            config_version: config.version,
            sampled_at: Timestamp::now().to_string(),
        }
    }

    /// The controller's alerts, and those of cleanup and source.
    fn alerts(&self, decision: &Decision) -> Vec<Alert> {
        let mut alerts: Vec<Alert> = decision.alerts.iter().map(|alert| self.alert(alert)).collect();
        if let (true, Some(report)) = (self.cleaner.is_ineffective(), self.cleaner.newest()) {
            alerts.push(Alert {
                kind: AlertKind::CleanupIneffective,
                severity: Severity::Warning,
                message: format!("Automatic cleanup cannot help and has stopped: {}", report.summary),
                since: report.started_at,
            });
        }
        if let Some(BlindSpot { message, since }) = self.pool.blind_spot() {
            alerts.push(Alert {
                kind: AlertKind::PartialView,
                severity: Severity::Warning,
                message,
                since: since.to_string(),
            });
        }
        alerts
    }

    fn alert(&self, alert: &ActiveAlert) -> Alert {
        Alert {
            kind: alert.kind,
            severity: alert.severity,
            message: alert.message.clone(),
            since: self.at(alert.since).to_string(),
        }
    }

    /// The controller's time as a time of day.
    fn at(&self, since_start: Duration) -> Timestamp {
        let since_start = SignedDuration::try_from(since_start).unwrap_or(SignedDuration::ZERO);
        self.started_at.checked_add(since_start).unwrap_or(Timestamp::now())
    }
}
