//! Logs and metrics of a decision.

use std::time::{Duration, Instant};

use metrics::{counter, gauge};
use poolgate_control::{Decision, Event};
use poolgate_types::{Alert, AlertKind, CircuitState, ClusterStatus, Level, Severity};
use serde::Serialize;

use super::sampler::Reading;
use crate::{
    telemetry::names,
    watched::{Figures, Visibility},
};

/// Writes log lines and sets metrics.
#[derive(Debug)]
pub(super) struct Reporter {
    interval: Duration,
    critical_percent: f64,
    reminded: Option<Instant>,
    usage_alert: Option<Severity>,
    at_level: [Duration; names::LEVELS.len()],
    last_tick: Instant,
    /// The source shows how long connections have been in use.
    ages_known: bool,
}

impl Reporter {
    /// A pool whose usage stays at or above `critical_percent` is logged again after each `interval`.
    pub(super) fn new(interval: Duration, critical_percent: f64) -> Self {
        Self {
            interval,
            critical_percent,
            reminded: None,
            usage_alert: None,
            at_level: Default::default(),
            last_tick: Instant::now(),
            ages_known: false,
        }
    }

    pub(super) fn set_critical(&mut self, percent: f64) {
        self.critical_percent = percent;
    }

    pub(super) fn report(&mut self, decision: &Decision, reading: &Reading) {
        for event in &decision.events {
            if !self.eases(event, decision.usage_percent) {
                log(event, decision, &reading.figures);
            }
        }
        log_resize(decision, reading);
        self.remind(decision, reading);
        self.measure(decision, reading);
    }

    /// Sets the pool's efficiency: use time / (use time + wait time).
    pub(super) fn efficiency(ratio: f64) {
        gauge!(names::POOL_EFFICIENCY, "pool" => names::DEFAULT_POOL).set(ratio);
    }

    /// Whether the event is an alert that falls to a lower severity; that is logged as good news.
    fn eases(&mut self, event: &Event, usage: f64) -> bool {
        let severity = match event {
            Event::AlertRaised(alert) if alert.kind == AlertKind::PoolUsage => Some(alert.severity),
            Event::AlertCleared(AlertKind::PoolUsage) => None,
            _ => return false,
        };
        let before = std::mem::replace(&mut self.usage_alert, severity);
        let eases = severity.is_some() && severity < before;
        if eases {
            tracing::info!(severity = word(&severity), "Connection pool usage falls: {usage:.1}%");
        }
        eases
    }

    fn remind(&mut self, decision: &Decision, reading: &Reading) {
        let usage = decision.usage_percent;
        if usage < self.critical_percent {
            self.reminded = None;
            return;
        }
        match self.reminded {
            // The alert has just been logged.
            None => self.reminded = Some(Instant::now()),
            Some(last) if last.elapsed() >= self.interval => {
                self.reminded = Some(Instant::now());
                let Figures { checked_out, capacity, waiting, .. } = reading.figures;
                tracing::warn!(checked_out, capacity, waiting, "Connection pool usage high: {usage:.1}%");
            }
            Some(_) => {}
        }
    }

    fn measure(&mut self, decision: &Decision, reading: &Reading) {
        let Reading { figures, sample, .. } = reading;
        let pool = names::DEFAULT_POOL;
        gauge!(names::CONNECTION_COUNT, "pool" => pool, "state" => "used").set(f64::from(figures.checked_out));
        gauge!(names::CONNECTION_COUNT, "pool" => pool, "state" => "idle").set(f64::from(figures.idle));
        gauge!(names::CONNECTION_MAX, "pool" => pool).set(f64::from(figures.capacity));
        if reading.own_pool {
            gauge!(names::CONNECTION_IDLE_MAX, "pool" => pool).set(f64::from(figures.pool_size));
        }
        self.ages_known |= reading.own_pool || figures.oldest_checkout.is_some();
        if self.ages_known {
            let oldest = figures.oldest_checkout.map_or(0.0, |age| age.as_secs_f64());
            gauge!(names::OLDEST_CHECKOUT, "pool" => pool).set(oldest);
        }
        if let Some(waiting) = figures.waiting {
            gauge!(names::CONNECTION_PENDING, "pool" => pool).set(f64::from(waiting));
        }
        let ratio = |part: u32, whole: u32| f64::from(part) / f64::from(whole.max(1));
        gauge!(names::USAGE_RATIO, "of" => "pool").set(ratio(figures.checked_out, figures.capacity));
        if reading.visibility == Visibility::Gated {
            let Reading { occupancy, totals, .. } = reading;
            gauge!(names::USAGE_RATIO, "of" => "gate").set(ratio(occupancy.in_flight, occupancy.permits));
            let ends = [totals.admitted, totals.rejected, totals.over_quota];
            for (outcome, total) in names::OUTCOMES.into_iter().zip(ends) {
                counter!(names::REQUESTS, "outcome" => outcome).absolute(total);
            }
            counter!(names::FAILED_REQUESTS).absolute(totals.server_errors);
        }
        if let Some(connections) = decision.database_use.connections_per_request {
            gauge!(names::CONNECTIONS_PER_REQUEST).set(connections);
        }
        if let Some(transactions) = decision.database_use.transactions_per_request {
            gauge!(names::TRANSACTIONS_PER_REQUEST).set(transactions);
        }
        gauge!(names::CLIENTS).set(f64::from(sample.live_clients));
        gauge!(names::FAIR_RATE).set(decision.config.fair_rate_per_second.unwrap_or(0.0));
        gauge!(names::CIRCUIT_STATE).set(match decision.gate.circuit {
            CircuitState::Closed => 0.0,
            CircuitState::HalfOpen => 1.0,
            CircuitState::Open => 2.0,
        });
        self.measure_level(decision.config.throttling_level);
    }

    /// Sets the severity of each kind of alert.
    pub(super) fn alerts(active: &[Alert]) {
        for kind in AlertKind::ALL {
            let severity = active.iter().filter(|alert| alert.kind == kind).map(|alert| alert.severity).max();
            gauge!(names::ALERT_SEVERITY, "kind" => kind.as_str()).set(match severity {
                None => 0.0,
                Some(Severity::Info) => 1.0,
                Some(Severity::Warning) => 2.0,
                Some(Severity::Critical) => 3.0,
            });
        }
    }

    /// Sets what is known of the other servers in front of the same database.
    pub(super) fn cluster(status: &ClusterStatus) {
        gauge!(names::CLUSTER_REPLICAS).set(status.members.len() as f64);
        gauge!(names::CLUSTER_SHARE).set(f64::from(status.share));
        gauge!(names::CLUSTER_STATIC).set(if status.is_static { 1.0 } else { 0.0 });
        let publishes = status.members.iter().any(|member| member.publishes && member.replica == status.replica);
        gauge!(names::CLUSTER_PUBLISHES).set(if publishes { 1.0 } else { 0.0 });
    }

    fn measure_level(&mut self, level: Level) {
        let passed = self.last_tick.elapsed();
        self.last_tick += passed;
        for ((known, at_level), number) in names::LEVELS.into_iter().zip(&mut self.at_level).zip(0_u8..) {
            if known == level {
                gauge!(names::THROTTLE_LEVEL).set(f64::from(number));
                *at_level += passed;
                counter!(names::THROTTLE_LEVEL_SECONDS, "level" => level.as_str()).absolute(at_level.as_secs());
            }
        }
    }
}

fn log_resize(decision: &Decision, reading: &Reading) {
    let before = reading.occupancy.permits;
    if let Some(permits) = decision.gate.permits.filter(|permits| *permits != before) {
        tracing::info!(from = before, to = permits, "Gate resized");
    }
}

fn log(event: &Event, decision: &Decision, figures: &Figures) {
    let (usage, waiting) = (decision.usage_percent, figures.waiting);
    match event {
        Event::HealthChanged { from, to, reason } => tracing::info!(
            from = word(from),
            to = word(to),
            reason = word(reason),
            usage_percent = usage,
            waiting,
            "Database health changed"
        ),
        Event::LevelChanged { from, to, reason } => {
            tracing::info!(
                from = word(from),
                to = word(to),
                reason = word(reason),
                "Database throttling level changed"
            );
        }
        Event::BreakerChanged { from, to: CircuitState::Open } => {
            tracing::error!(from = word(from), to = "open", "Database circuit breaker changed");
        }
        Event::BreakerChanged { from, to } => {
            tracing::info!(from = word(from), to = word(to), "Database circuit breaker changed");
        }
        Event::AlertRaised(alert) => {
            let (kind, text) = (word(&alert.kind), alert.message.as_str());
            let line = match (alert.kind, alert.severity) {
                (AlertKind::PoolUsage, Severity::Critical) => format!("Connection pool usage high: {usage:.1}%"),
                (AlertKind::PoolUsage, Severity::Info | Severity::Warning) => {
                    format!("Connection pool usage: {usage:.1}%")
                }
                (_, _) => format!("Database alert: {text}"),
            };
            match alert.severity {
                Severity::Info => tracing::info!(kind, alert = text, waiting, "{line}"),
                Severity::Warning => tracing::warn!(kind, alert = text, waiting, "{line}"),
                Severity::Critical => tracing::error!(kind, alert = text, waiting, "{line}"),
            }
        }
        Event::AlertCleared(kind) => tracing::info!(kind = word(kind), usage_percent = usage, "Database alert is over"),
    }
}

/// A label's word on the wire.
fn word(label: &impl Serialize) -> String {
    match serde_json::to_value(label) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}
