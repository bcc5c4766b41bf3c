//! The controller: runs its parts once per tick.

use std::time::Duration;

use poolgate_types::{CircuitState, Health, Level, Reason, SixFields, ThrottlingConfig};

use crate::{
    adaptive::FairRate,
    alerts::{self, Alerts},
    breaker::{self, Breaker, Verdict},
    capacity::Capacity,
    concurrency::ConcurrencyLimit,
    decision::{Decision, Event},
    gate::{DEFAULT_HOLD, GateOrders},
    hysteresis::{Dwell, Hysteresis},
    publish::{Draft, Limits, Publisher},
    reachability::Reachability,
    sample::Sample,
    settings::{Policy, Settings},
    window::{WINDOW, Window},
    writes::Writes,
};

/// Share of the requests of two seconds that were rejected, over quota or not, at which the level is AGGRESSIVE, and
/// EMERGENCY.
const AGGRESSIVE_REJECTS: f64 = 0.2;
const EMERGENCY_REJECTS: f64 = 0.5;
/// Acquire wait, 99th percentile over two seconds, above which the level is AGGRESSIVE: the larger of a time and a
/// multiple of the mean hold time. A working gate keeps most waits below two holds, which on a slow database is more
/// than the time.
const AGGRESSIVE_WAIT: Duration = Duration::from_millis(100);
const AGGRESSIVE_WAIT_IN_HOLDS: f64 = 3.0;
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
            concurrency: ConcurrencyLimit::new(),
            lowered: None,
            capacity: Capacity::new(),
            fair_rate: FairRate::new(settings.adaptive),
            breaker: Breaker::new(settings.breaker, seed),
            circuit: CircuitState::Closed,
            // CRITICAL begins above its threshold, not at it.
            health: Hysteresis::new([thresholds.info_percent, thresholds.critical_percent.next_up()]),
            health_label: Health::Healthy,
            usage_level: Hysteresis::new([
                thresholds.info_percent,
                thresholds.warning_percent,
                thresholds.critical_percent,
            ]),
            level: Dwell::new(Level::Normal),
            level_label: Level::Normal,
            alerts: Alerts::new(thresholds),
            writes: Writes::default(),
            critical_since: None,
            publisher: Publisher::new(epoch),
            settings,
        }
    }

    /// Takes in a sample and decides. The constants are made for ticks 100 ms apart, but ticks may be uneven. A clock
    /// that goes backwards counts as standing still.
    pub fn tick(&mut self, sample: &Sample, now: Duration) -> Decision {
        let now = self.last_tick.map_or(now, |last| last.max(now));
        let elapsed = self.last_tick.map_or(Duration::ZERO, |last| now - last).min(WINDOW);
        self.last_tick = Some(now);
        let mut events = Vec::new();

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
            if self.settings.policy == Policy::Adaptive && !sample.gate.patient {
                let (hold, limited) = (self.capacity.mean_hold(), self.fair_rate.is_in_force());
                self.lowered = self.concurrency.update(sample, hold, limited, now, elapsed);
            }
            self.capacity.update(sample, self.concurrency.proven(), now, elapsed);
            self.fair_rate.update(sample, &self.capacity, now, elapsed)
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
            alerts: self.alerts.active().to_vec(),
            cleanup_due: self.is_cleanup_due(usage_percent, now),
            events,
        }
    }

    fn gate_orders(&self, config: &ThrottlingConfig, breaker: Verdict, permits: u32, sample: &Sample) -> GateOrders {
        let mean_hold = Duration::try_from_secs_f64(self.capacity.mean_hold()).ok().filter(|hold| !hold.is_zero());
        let hold = mean_hold.unwrap_or(DEFAULT_HOLD).max(SHORTEST_PROBE);
        let capacity = f64::from(sample.pool.capacity.min(permits)) / hold.as_secs_f64();
        GateOrders {
            permits: (!sample.gate.patient).then_some(permits),
            mean_hold,
            // The fixed policy is always enforced, but its NORMAL row does not protect the database.
            limited: config.enforced && config.throttling_level > Level::Normal,
            filling: self.capacity.is_filling(),
            circuit: breaker.state,
            probes_per_second: breaker.probes_per_second(capacity, permits),
            retry_after_seconds: config.retry_after_seconds.unwrap_or(1).clamp(1, 60),
            fair_rate_per_second: config.fair_rate_per_second.filter(|_| config.enforced),
        }
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
        let (wanted, reason) = match (breaker.reason, fair_rate) {
            (Some(reason), _) => (Level::Emergency, reason),
            (None, None) => (Level::Normal, Reason::Healthy),
            (None, Some(_)) if rejects > EMERGENCY_REJECTS => (Level::Emergency, Reason::ClientsDisobey),
            (None, Some(_)) if rejects > AGGRESSIVE_REJECTS => (Level::Aggressive, Reason::RejectsHigh),
            (None, Some(_)) if self.is_wait_high(sample) => (Level::Aggressive, Reason::WaitHigh),
            (None, Some(_)) => (Level::Moderate, Reason::DemandAboveCapacity),
        };
        let limits = fair_rate
            .map_or(Limits::None, |per_second| Limits::FairRate { per_second, mean_hold: self.capacity.mean_hold() });
        (self.level.update(wanted, now), reason, limits)
    }

    fn paused(&self, clients: u32) -> Limits {
        let share = self.capacity.per_second().map(|capacity| PAUSED_SHARE * capacity / f64::from(clients.max(1)));
        let per_second = share.unwrap_or(PAUSED_RATE).min(PAUSED_RATE);
        Limits::FairRate { per_second, mean_hold: self.capacity.mean_hold() }
    }

    fn is_wait_high(&self, sample: &Sample) -> bool {
        let p99 = sample.acquire_wait_p99;
        p99 > AGGRESSIVE_WAIT && p99.as_secs_f64() > AGGRESSIVE_WAIT_IN_HOLDS * self.capacity.mean_hold()
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
