//! The loop itself.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use poolgate_control::{Contact, Controller, Decision};
use poolgate_types::{
    Alert, AlertKind, CircuitState, Clients, ConfigVersion, Health, Level, Performance, Reason, Severity, Status,
    ThrottlingConfig,
};
use tokio::time::{self, MissedTickBehavior};

use super::{
    contact::Reach,
    documents::{ConfigDocument, StatusDocument, gate_status, pool_status},
    performance::PerformanceWindow,
    report::Reporter,
    sampler::{Reading, Sampler},
    sizing::Sizing,
    warm_up::WarmUp,
};
use crate::{
    gate::Orders,
    shared::Shared,
    watched::{BlindSpot, Demand},
};

/// While the breaker is half-open, this share of the capacity may probe.
const PROBE_SHARE: f64 = 0.05;
/// How often the metrics' memory is tidied up.
const UPKEEP: Duration = Duration::from_secs(5);

/// A hold time for as long as nothing is known.
const DEFAULT_HOLD: Duration = Duration::from_millis(50);

/// Ticks until the server closes.
pub(crate) async fn run(shared: Arc<Shared>, controller: Controller) {
    let tick = shared.settings.control.tick;
    let source = Arc::clone(&shared);
    let mut ticks = time::interval(tick);
    // A tick that comes late is one tick: the controller knows how long it was.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut monitor = Monitor {
        sampler: Sampler::new(tick),
        performance: PerformanceWindow::new(shared.observed, shared.pool().demand() == Demand::Gated),
        reporter: Reporter::new(shared.settings.monitor.interval),
        sizing: Sizing::new(&shared.settings, shared.pool().figures().pool_size),
        warm_up: WarmUp::new(&shared.readiness),
        upkeep: time::interval(UPKEEP),
        lost_since: None,
        controller,
        shared,
    };
    loop {
        tokio::select! {
            () = source.closing.cancelled() => return,
            _ = ticks.tick() => {
                if let Some(reading) = source.pool.refresh()
                    && source.closing.run_until_cancelled(reading).await.is_none()
                {
                    return;
                }
                monitor.tick();
            }
            _ = monitor.upkeep.tick() => {
                if let Some(metrics) = &source.metrics {
                    metrics.upkeep();
                }
            }
        }
    }
}

struct Monitor {
    shared: Arc<Shared>,
    controller: Controller,
    sampler: Sampler,
    performance: PerformanceWindow,
    reporter: Reporter,
    sizing: Sizing,
    warm_up: WarmUp,
    upkeep: time::Interval,
    lost_since: Option<Instant>,
}

impl Monitor {
    fn tick(&mut self) {
        let shared = Arc::clone(&self.shared);
        let pool = shared.pool();
        let reach = shared.contact.reach(pool, &shared.observer);
        let in_force = shared.config();
        let ttl = Duration::from_secs(u64::from(in_force.config.ttl_seconds));
        let clients = shared.clients.count(in_force.config.version, ttl);
        let streaming = shared.clients.streaming();
        let reading = self.sampler.read(&shared.gate, &shared.observer, pool, &reach, clients.live, streaming);
        let mut decision = self.controller.tick(&reading.sample, shared.uptime());
        if let Some(mean_hold) = decision.mean_hold {
            shared.gate.limiter().set_hold(mean_hold);
        }
        if reading.demand == Demand::Gated && decision.permits != reading.occupancy.permits {
            tracing::info!(from = reading.occupancy.permits, to = decision.permits, "Gate resized");
            shared.gate.limiter().resize(decision.permits);
        }
        let health = decision.config.health;
        if !shared.settings.control.clients {
            leave_clients_alone(&mut decision);
        }
        // The fixed policy is in force always; its NORMAL row limits nobody for the database's sake.
        let limited = decision.config.enforced && decision.config.throttling_level > Level::Normal;
        shared.gate.limiter().set_limited(limited);
        shared.gate.limiter().set_filling(decision.filling);
        shared.contact.doubt(reading.doubt || decision.breaker != CircuitState::Closed);
        self.clean_up(&decision);
        self.publish_config(&decision, &reading, &in_force.config);
        self.reporter.report(&decision, &reading, shared.settings.thresholds.critical);
        let performance = self.performance.update(&reading, shared.observer.times(), shared.gate.responses()).clone();
        if let Some(efficiency) = performance.pool_efficiency {
            Reporter::efficiency(efficiency);
        }
        let forecast = self.sizing.update(&shared, &reading);
        let status = Status { forecast, ..status(&shared, health, &decision, &reading, clients, performance) };
        self.warm_up.update(&reading.figures, reach.contact == Contact::Answering, Instant::now());
        self.publish_reach(status, &reach);
    }

    fn publish_reach(&mut self, status: Status, reach: &Reach) {
        let shared = &self.shared;
        let trouble = reach.contact.is_lost().then(|| reach.contact.trouble(reach.cause.as_deref()));
        if trouble.is_none() {
            self.lost_since = None;
        } else {
            self.lost_since.get_or_insert_with(Instant::now);
        }
        let patience = shared.settings.monitor.unready_after;
        let gave_up = !patience.is_zero() && self.lost_since.is_some_and(|since| since.elapsed() >= patience);
        let answers = matches!(reach.contact, Contact::Answering | Contact::Paused);
        shared.readiness.database(answers, trouble.as_deref(), gave_up);
        shared.status.send_replace(Arc::new(StatusDocument::new(status, trouble)));
    }

    fn clean_up(&self, decision: &Decision) {
        // Where nothing can be done, it would only say so again and again.
        if self.shared.pool().upkeep().is_none() {
            return;
        }
        if let Some(admitted) = self.shared.cleaner.admit_automatic(decision.cleanup_due, decision.usage_percent) {
            let shared = Arc::clone(&self.shared);
            tokio::spawn(async move { shared.cleaner.run(shared.pool(), admitted).await });
        }
    }

    fn publish_config(&self, decision: &Decision, reading: &Reading, in_force: &ThrottlingConfig) {
        let capacity = capacity_per_second(decision, reading);
        let probes = match (decision.breaker, decision.config.probe_fraction) {
            (CircuitState::Closed | CircuitState::Open, _) => 0.0,
            // Clients come back step by step, and who was let in may use the database.
            (CircuitState::HalfOpen, Some(share)) if decision.config.reason == Reason::Recovering => capacity * share,
            // Requests that fail at once make the capacity look large: there are never more probes a second than permits.
            (CircuitState::HalfOpen, _) => (capacity * PROBE_SHARE).min(f64::from(decision.permits)).max(1.0),
        };
        if decision.config != *in_force {
            tracing::debug!(version = decision.config.version, "Config published");
            self.shared.config.send_replace(Arc::new(ConfigDocument::new(decision.config.clone())));
        }
        self.shared.gate.publish(Orders::new(&decision.config, decision.breaker, probes));
    }
}

/// Little's law: slots / mean hold time.
fn capacity_per_second(decision: &Decision, reading: &Reading) -> f64 {
    let hold = decision.mean_hold.unwrap_or(DEFAULT_HOLD).as_secs_f64().max(0.001);
    f64::from(reading.figures.capacity.min(reading.occupancy.permits)) / hold
}

/// Keeps what was measured and takes back what would reach the clients.
fn leave_clients_alone(decision: &mut Decision) {
    let at = ConfigVersion { epoch: decision.config.epoch, version: 1 };
    decision.config = ThrottlingConfig::normal(at);
    decision.breaker = CircuitState::Closed;
}

fn status(
    shared: &Shared,
    health: Health,
    decision: &Decision,
    reading: &Reading,
    clients: Clients,
    performance: Performance,
) -> Status {
    let Reading { figures, occupancy, totals, demand, .. } = reading;
    Status {
        health,
        throttling_level: decision.config.throttling_level,
        emergency_mode_active: decision.config.emergency_mode_active,
        circuit_breaker: decision.breaker,
        pool: pool_status(figures, shared.contact.backend()),
        gate: (*demand == Demand::Gated).then(|| gate_status(occupancy, totals)),
        performance,
        clients,
        last_cleanup: shared.cleaner.newest(),
        alerts: alerts(shared, decision),
        forecast: None,
        fair_rate_per_second: decision.config.fair_rate_per_second,
        config_version: decision.config.version,
        sampled_at: Timestamp::now().to_string(),
    }
}

fn alerts(shared: &Shared, decision: &Decision) -> Vec<Alert> {
    let written = |since: Duration| {
        let since = SignedDuration::try_from(since).unwrap_or(SignedDuration::ZERO);
        shared.started_at.checked_add(since).unwrap_or(Timestamp::now()).to_string()
    };
    let mut alerts: Vec<Alert> = decision
        .alerts
        .iter()
        .map(|alert| Alert {
            kind: alert.kind,
            severity: alert.severity,
            message: alert.message.clone(),
            since: written(alert.since),
        })
        .collect();
    if let (true, Some(report)) = (shared.cleaner.is_ineffective(), shared.cleaner.newest()) {
        alerts.push(Alert {
            kind: AlertKind::CleanupIneffective,
            severity: Severity::Warning,
            message: format!("Automatic cleanup cannot help and has stopped: {}", report.summary),
            since: report.started_at,
        });
    }
    if let Some(BlindSpot { message, since }) = shared.pool().blind_spot() {
        alerts.push(Alert {
            kind: AlertKind::PartialView,
            severity: Severity::Warning,
            message,
            since: since.to_string(),
        });
    }
    alerts
}
