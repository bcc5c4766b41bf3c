//! The controller: runs its parts once per tick.

use std::time::Duration;

use poolgate_types::{CircuitState, ConfigVersion, Health, Level, Reason, SixFields, ThrottlingConfig};

use crate::{
    adaptive::FairRate,
    alerts::{self, Alerts},
    breaker::{self, Breaker, Verdict},
    capacity::Capacity,
    concurrency::ConcurrencyLimit,
    decision::{Decision, Event},
    gate::{DEFAULT_HOLD, GateOrders},
    gate_width::GateWidth,
    hysteresis::{Dwell, Hysteresis},
    publish::{Draft, Limits, Publisher},
    reachability::Reachability,
    sample::Sample,
    settings::{Policy, Settings, Thresholds},
    window::{WINDOW, Window},
    writes::Writes,
};

/// Share of the requests of two seconds that were rejected, over quota or not, at which the level is AGGRESSIVE, and
/// EMERGENCY.
const AGGRESSIVE_REJECTS: f64 = 0.2;
const EMERGENCY_REJECTS: f64 = 0.5;
/// Acquire wait, 99th percentile over two seconds, above which the level is AGGRESSIVE: the larger of a time and a
/// multiple of the mean hold time. A working gate keeps most waits near two holds, which on a slow database is more
/// than the time.
const AGGRESSIVE_WAIT: Duration = Duration::from_millis(100);
const AGGRESSIVE_WAIT_IN_HOLDS: f64 = 4.0;
/// AGGRESSIVE ends when rejects and wait have been below this share of its thresholds for this long, or when clients are
/// not limited any more. Values near a threshold cross it by chance, again and again.
const CALM_SHARE: f64 = 0.75;
const CALM_FOR: Duration = Duration::from_secs(30);
/// Hold time that a probe is assumed to take at least, so that the rate of probes stays finite.
const SHORTEST_PROBE: Duration = Duration::from_millis(1);
/// While the database is paused, all clients together may send this share of its capacity, and each client at most this
/// many requests a second. The requests wait, and must be served soon after the pause.
const PAUSED_SHARE: f64 = 0.1;
const PAUSED_RATE: f64 = 1.0;
/// A cleanup is due when the pool has been critically full for this long.
const CLEANUP_AFTER: Duration = Duration::from_secs(5);

/// Turns samples of a connection pool into limits for its clients.
///
/// The [crate's page](crate) says how to drive it.
#[derive(Clone, Debug)]
pub struct Controller {
    settings: Settings,
    last_tick: Option<Duration>,
    usage: Window,
    rejects: Window,
    width: GateWidth,
    concurrency: ConcurrencyLimit,
    /// The permits that it has set, if fewer than the slots.
    lowered: Option<u32>,
    capacity: Capacity,
    fair_rate: FairRate,
    breaker: Breaker,
    circuit: CircuitState,
    health: Hysteresis<2>,
    health_label: Health,
    usage_level: Hysteresis<3>,
    /// When rejects or waits were last near the thresholds of AGGRESSIVE or above, since one was exceeded; and the reason.
    strained: Option<(Duration, Reason)>,
    level: Dwell<Level>,
    level_label: Level,
    alerts: Alerts,
    writes: Writes,
    critical_since: Option<Duration>,
    publisher: Publisher,
}

impl Controller {
    /// A controller without samples. It limits no client.
    ///
    /// `epoch`, the process's start in Unix milliseconds, orders its configs among those of other starts. `seed`
    /// spreads the times at which the breakers of several replicas try again.
    pub fn new(settings: Settings, epoch: u64, seed: u64) -> Self {
        let thresholds = settings.thresholds;
        Self {
            last_tick: None,
            usage: Window::default(),
            rejects: Window::default(),
            width: GateWidth::new(),
            concurrency: ConcurrencyLimit::new(),
            lowered: None,
            capacity: Capacity::new(),
            fair_rate: FairRate::new(settings.adaptive),
            breaker: Breaker::new(settings.breaker, seed),
            circuit: CircuitState::Closed,
            health: Hysteresis::new(thresholds.of_health()),
            health_label: Health::Healthy,
            usage_level: Hysteresis::new(thresholds.rising()),
            strained: None,
            level: Dwell::new(Level::Normal),
            level_label: Level::Normal,
            alerts: Alerts::new(thresholds),
            writes: Writes::default(),
            critical_since: None,
            publisher: Publisher::new(epoch),
            settings,
        }
    }

    /// Changes the usage at which labels and alerts change, from the next tick on. Everything that was learned stays.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.settings.thresholds = thresholds;
        self.health.set(thresholds.of_health());
        self.usage_level.set(thresholds.rising());
        self.alerts.set_thresholds(thresholds);
    }

    /// Publishes configs of its own from now on. Their versions are `offset` modulo `step`, so that those of several
    /// servers differ, and above `known`.
    pub fn lead(&mut self, known: ConfigVersion, step: u64, offset: u64) {
        self.publisher.lead(known, step, offset);
    }

    /// Says what another server has published, until it [leads](Self::lead), and knows the rate that the clients have
    /// heard.
    pub fn follow(&mut self, config: &ThrottlingConfig) {
        self.publisher.follow(config);
        self.hear(config);
    }

    /// The clients obey this config, which may be another server's: its rate is the one to correct.
    pub fn hear(&mut self, config: &ThrottlingConfig) {
        // The rate during a pause says nothing about the database.
        if self.settings.policy == Policy::Adaptive && config.reason != Reason::DatabasePaused {
            self.fair_rate.follow(config.fair_rate_per_second);
        }
    }

    /// The circuit breaker of its own.
    pub(crate) const fn circuit(&self) -> CircuitState {
        self.circuit
    }

    /// The config in force.
    pub const fn config(&self) -> &ThrottlingConfig {
        self.publisher.config()
    }

    /// Takes in a sample and decides. The constants are made for ticks 100 ms apart, but ticks may be uneven. A clock
    /// that goes backwards counts as standing still.
    pub fn tick(&mut self, sample: &Sample, now: Duration) -> Decision {
        let now = self.last_tick.map_or(now, |last| last.max(now));
        let elapsed = self.last_tick.map_or(Duration::ZERO, |last| now - last).min(WINDOW);
        self.last_tick = Some(now);
        let mut events = Vec::new();
        let widened = self.width.update(sample, now, elapsed).map(|permits| {
            let mut widened = sample.clone();
            widened.gate.permits = permits;
            widened
        });
        let sample = widened.as_ref().unwrap_or(sample);

        let usage_percent = self.average_usage(sample, now, elapsed);
        let over_quota = sample.gate.over_quota as f64;
        self.rejects.add(sample.gate.rejected as f64 + over_quota, sample.gate.arrivals as f64 + over_quota, now);
        let fair_rate = if sample.reachability == Reachability::Paused {
            // A pause is no evidence about capacity and demand, so their estimates are kept until it ends.
            self.fair_rate.skip()
        } else if elapsed.is_zero() {
            self.fair_rate.in_force()
        } else {
            // A source that rejects no request has no gate that could be narrowed.
            if self.settings.policy == Policy::Adaptive && self.settings.narrows && !sample.gate.patient {
                let (hold, limited) = (self.capacity.mean_hold(), self.fair_rate.is_in_force());
                self.lowered = self.concurrency.update(sample, hold, limited, now, elapsed);
            }
            self.capacity.update(sample, self.concurrency.proven(), self.circuit, now, elapsed);
            self.fair_rate.update(sample, &self.capacity, elapsed)
        };
        let breaker = self.update_breaker(sample, now, &mut events);
        self.writes.update(&sample.work, sample.pool.checked_out, now);
        let (level, reason, limits) = match self.settings.policy {
            Policy::Fixed => self.fixed(sample, usage_percent, breaker, now),
            Policy::Adaptive => self.adaptive(sample, fair_rate, breaker, now),
        };
        let reason = match (reason, self.writes.hindrance()) {
            (Reason::Healthy, Some(hindrance)) => hindrance.reason(),
            (reason, _) => reason,
        };
        let health = self.update_health(sample.reachability, usage_percent, breaker, reason, now, &mut events);
        if level != self.level_label {
            events.push(Event::LevelChanged { from: self.level_label, to: level, reason });
            self.level_label = level;
        }
        let permits = self.lowered.unwrap_or(sample.gate.permits);
        let (breaker_state, writes) = (breaker.state, &self.writes);
        let situation = alerts::Situation { sample, usage_percent, breaker: breaker_state, reason, permits, writes };
        self.alerts.update(situation, now, &mut events);

        let draft =
            if self.settings.observe_only { Draft::NORMAL } else { Draft { health, level, reason, limits, breaker } };
        let config_changed = self.publisher.publish(draft, now);
        let config = self.publisher.config().clone();
        Decision {
            config_changed,
            gate: self.gate_orders(&config, draft.breaker, permits, sample),
            config,
            health,
            usage_percent,
            proven_permits: sample.gate.permits.min(self.concurrency.proven()),
            database_use: self.width.database_use(),
            alerts: self.alerts.active().to_vec(),
            cleanup_due: self.is_cleanup_due(usage_percent, now),
            events,
        }
    }

    fn gate_orders(&self, config: &ThrottlingConfig, breaker: Verdict, permits: u32, sample: &Sample) -> GateOrders {
        let mean_hold = Duration::try_from_secs_f64(self.capacity.mean_hold()).ok().filter(|hold| !hold.is_zero());
        let hold = mean_hold.unwrap_or(DEFAULT_HOLD).max(SHORTEST_PROBE);
        let capacity = f64::from(sample.slots().min(permits)) / hold.as_secs_f64();
        let mut orders = GateOrders {
            permits: (!sample.gate.patient).then_some(permits),
            mean_hold,
            limited: false,
            filling: self.capacity.is_filling(),
            circuit: breaker.state,
            probes_per_second: breaker.probes_per_second(capacity, permits),
            retry_after_seconds: config.retry_after_seconds.unwrap_or(1).clamp(1, 60),
            fair_rate_per_second: None,
        };
        orders.limit_by(config);
        orders
    }

    /// The pool's usage over two seconds; each value is weighted with the time that it covers.
    fn average_usage(&mut self, sample: &Sample, now: Duration, elapsed: Duration) -> f64 {
        let usage = f64::from(sample.pool.checked_out) / f64::from(sample.pool.capacity.max(1));
        let weight = elapsed.as_secs_f64().max(1e-3);
        self.usage.add(usage * weight, weight, now);
        // Rounded, so that 27 of 30 is exactly 90 % after any number of additions.
        (100.0 * self.usage.ratio(now).unwrap_or(usage) * 1e6).round() / 1e6
    }

    fn update_breaker(&mut self, sample: &Sample, now: Duration, events: &mut Vec<Event>) -> Verdict {
        let situation = breaker::Situation {
            reachability: sample.reachability,
            failed: sample.failed,
            live_clients: sample.live_clients,
            capacity: self.capacity.per_second(),
            mean_hold: self.capacity.mean_hold(),
        };
        let verdict = self.breaker.update(sample.probes, situation, now);
        if verdict.state != self.circuit {
            events.push(Event::BreakerChanged { from: self.circuit, to: verdict.state });
            self.circuit = verdict.state;
        }
        verdict
    }

    /// The fixed policy: four rows, chosen by the pool's usage and always enforced.
    fn fixed(
        &mut self,
        sample: &Sample,
        usage_percent: f64,
        breaker: Verdict,
        now: Duration,
    ) -> (Level, Reason, Limits) {
        let by_usage = match self.usage_level.update(usage_percent, now) {
            0 => Level::Normal,
            1 => Level::Moderate,
            2 => Level::Aggressive,
            _ => Level::Emergency,
        };
        let (level, reason) = match breaker.reason {
            Some(reason) => (Level::Emergency, reason),
            None if sample.reachability == Reachability::Paused => {
                (by_usage.max(Level::Moderate), Reason::DatabasePaused)
            }
            None if by_usage == Level::Normal => (by_usage, Reason::Healthy),
            None => (by_usage, Reason::PoolUsage),
        };
        (level, reason, Limits::Row(SixFields::of(level)))
    }

    /// The adaptive policy: the fair rate limits the clients, and the level says how well that works.
    fn adaptive(
        &mut self,
        sample: &Sample,
        fair_rate: Option<f64>,
        breaker: Verdict,
        now: Duration,
    ) -> (Level, Reason, Limits) {
        if sample.reachability == Reachability::Paused && breaker.reason.is_none() {
            let limits = self.paused(sample.live_clients);
            return (self.level.update(Level::Moderate, now), Reason::DatabasePaused, limits);
        }
        let rejects = self.rejects.ratio(now).unwrap_or_default();
        let strain = self.strain(sample, rejects, fair_rate.is_some(), now);
        let (wanted, reason) = match (breaker.reason, fair_rate) {
            (Some(reason), _) => (Level::Emergency, reason),
            (None, None) => (Level::Normal, Reason::Healthy),
            (None, Some(_)) if rejects > EMERGENCY_REJECTS => (Level::Emergency, Reason::ClientsDisobey),
            (None, Some(_)) => {
                strain.map_or((Level::Moderate, Reason::DemandAboveCapacity), |reason| (Level::Aggressive, reason))
            }
        };
        let limits = fair_rate.map_or(Limits::None, |per_second| self.rate_limit(per_second));
        (self.level.update(wanted, now), reason, limits)
    }

    fn paused(&self, clients: u32) -> Limits {
        let share = self.capacity.per_second().map(|capacity| PAUSED_SHARE * capacity / f64::from(clients.max(1)));
        let per_second = share.unwrap_or(PAUSED_RATE).min(PAUSED_RATE);
        self.rate_limit(per_second)
    }

    fn rate_limit(&self, per_second: f64) -> Limits {
        Limits::FairRate { per_second, mean_hold: self.capacity.mean_hold(), capacity: self.capacity.per_second() }
    }

    /// Why the level is AGGRESSIVE at least, if it is.
    fn strain(&mut self, sample: &Sample, rejects: f64, limited: bool, now: Duration) -> Option<Reason> {
        let wait = sample.acquire_wait_p99.as_secs_f64();
        let long = (AGGRESSIVE_WAIT_IN_HOLDS * self.capacity.mean_hold()).max(AGGRESSIVE_WAIT.as_secs_f64());
        let above = |share: f64| {
            let rejects_high = (rejects > share * AGGRESSIVE_REJECTS).then_some(Reason::RejectsHigh);
            rejects_high.or_else(|| (wait > share * long).then_some(Reason::WaitHigh))
        };
        let near = if self.strained.is_some() { above(CALM_SHARE) } else { None };
        self.strained = match (above(1.0).or(near), self.strained) {
            _ if !limited => None,
            (Some(reason), None) => Some((now, reason)),
            (Some(_), Some((_, first))) => Some((now, first)),
            (None, Some((at, _))) if now.saturating_sub(at) >= CALM_FOR => None,
            (None, strained) => strained,
        };
        self.strained.map(|(_, reason)| reason)
    }

    fn update_health(
        &mut self,
        reachability: Reachability,
        usage_percent: f64,
        breaker: Verdict,
        reason: Reason,
        now: Duration,
        events: &mut Vec<Event>,
    ) -> Health {
        // A database that cannot be used counts as a full pool, so that the label falls after the same calm period.
        let lost =
            breaker.state == CircuitState::Open || (breaker.state == CircuitState::HalfOpen && reachability.is_lost());
        let in_part = reachability == Reachability::Paused || self.writes.hindrance().is_some();
        let health = match self.health.update(if lost { 100.0 } else { usage_percent }, now) {
            0 if in_part => Health::Degraded,
            0 => Health::Healthy,
            1 => Health::Degraded,
            _ => Health::Critical,
        };
        if health != self.health_label {
            let reason = match reason {
                Reason::Healthy if health != Health::Healthy => Reason::PoolUsage,
                other => other,
            };
            events.push(Event::HealthChanged { from: self.health_label, to: health, reason });
            self.health_label = health;
        }
        health
    }

    fn is_cleanup_due(&mut self, usage_percent: f64, now: Duration) -> bool {
        if usage_percent <= self.settings.thresholds.critical_percent {
            self.critical_since = None;
            return false;
        }
        let since = *self.critical_since.get_or_insert(now);
        now.saturating_sub(since) >= CLEANUP_AFTER
    }
}
