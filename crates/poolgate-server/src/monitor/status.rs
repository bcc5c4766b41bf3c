//! The status, from a reading and the decision that followed.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use poolgate_control::{ActiveAlert, Decision};
use poolgate_types::{
    Alert, AlertKind, Backend, Forecast, GateStatus, Level, Performance, Severity, Status, UsageThresholds,
};

use super::{
    cleanup::Cleaner,
    documents::{gate_status, pool_status},
    sampler::Reading,
    shared_config::Cluster,
};
use crate::gate::Core;
use crate::upstream::Upstream;
use crate::watched::{BlindSpot, Visibility, WatchedPool};

/// Writes the status.
#[derive(Debug)]
pub(super) struct StatusWriter {
    pub(super) pool: Arc<dyn WatchedPool>,
    pub(super) gate: Arc<Core>,
    pub(super) cleaner: Arc<Cleaner>,
    pub(super) upstream: Option<Arc<dyn Upstream>>,
    pub(super) started_at: Timestamp,
    pub(super) thresholds: UsageThresholds,
    /// The level of the last status, and since when.
    pub(super) level: (Level, Timestamp),
}

impl StatusWriter {
    pub(super) fn write(
        &mut self,
        decision: &Decision,
        reading: &Reading,
        backend: Backend,
        performance: Performance,
        forecast: Option<Forecast>,
        cluster: Option<Cluster>,
    ) -> Status {
        let Reading { figures, occupancy, totals, visibility, clients, unanswered, .. } = reading;
        let Decision { config, gate, health, .. } = decision;
        let now = Timestamp::now();
        if self.level.0 != config.throttling_level {
            self.level = (config.throttling_level, now);
        }
        Status {
            health: *health,
            throttling_level: config.throttling_level,
            level_since: self.level.1.to_string(),
            emergency_mode_active: config.emergency_mode_active,
            circuit_breaker: gate.circuit,
            pool: pool_status(figures, backend),
            gate: (*visibility == Visibility::Gated).then(|| GateStatus {
                bypass_candidates: self.gate.routes().named(decision.database_use.routes_without_connection),
                ..gate_status(occupancy, totals, *unanswered, decision.database_use)
            }),
            performance,
            clients: *clients,
            last_cleanup: self.cleaner.newest(),
            alerts: self.alerts(decision, cluster.as_ref()),
            forecast,
            cluster: cluster.map(|cluster| cluster.status),
            gateway: self.upstream.as_ref().map(|upstream| upstream.status()),
            fair_rate_per_second: config.fair_rate_per_second,
            config_version: config.version,
            thresholds: self.thresholds,
            server_version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at.to_string(),
            sampled_at: now.to_string(),
        }
    }

    /// The controller's alerts, and those of cleanup, source and cluster.
    fn alerts(&self, decision: &Decision, cluster: Option<&Cluster>) -> Vec<Alert> {
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
        alerts.extend(cluster.and_then(|cluster| cluster.alert.clone()));
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
