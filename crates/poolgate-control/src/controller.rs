//! The controller: puts its parts together once per tick.

use std::time::Duration;

use poolgate_types::{CircuitState, Health, Level, Reason, SixFields};

use crate::{
    adaptive::FairRate,
    alerts::{self, Alerts},
    breaker::{self, Breaker, Verdict},
    capacity::Capacity,
    concurrency::ConcurrencyLimit,
    contact::Contact,
    decision::{Decision, Event},
    ladder::{Dwell, Ladder},
    publish::{Draft, Limits, Publisher},
    sample::Sample,
    settings::{Policy, Settings},
    window::{WINDOW, Window},
    writes::Writes,
};

/// Rejects, over quota or not, as a share of all that came over two seconds, that make the level AGGRESSIVE and EMERGENCY.
const AGGRESSIVE_REJECTS: f64 = 0.2;
const EMERGENCY_REJECTS: f64 = 0.5;
/// Acquire wait, 99th percentile over two seconds, above which the level is AGGRESSIVE: the larger of a time and of so many
/// mean holds. A gate that works keeps the waits below two holds, but chance takes a few beyond; on a slow database that is
/// more than the time.
const AGGRESSIVE_WAIT: Duration = Duration::from_millis(100);
const AGGRESSIVE_WAIT_IN_HOLDS: f64 = 3.0;
/// While the database is paused clients may send this share of what it could serve, and no client more than the other,
/// requests a second: what they send waits, and is to be served soon after the pause.
const PAUSED_SHARE: f64 = 0.1;
const PAUSED_RATE: f64 = 1.0;
/// How long the pool must be critically full before a cleanup is due.
const CLEANUP_AFTER: Duration = Duration::from_secs(5);

/// Turns samples of a connection pool into what its clients may send.
///
/// See the [crate's page](crate) for how to drive it.
#[derive(Clone, Debug)]
pub struct Controller {
    settings: Settings,
    last_tick: Option<Duration>,
    usage: Window,
    rejects: Window,
    concurrency: ConcurrencyLimit,
    /// The limit that it has set.
    lowered: Option<u32>,
    capacity: Capacity,
    fair_rate: FairRate,
    breaker: Breaker,
    circuit: CircuitState,
    health: Ladder<2>,
    health_label: Health,
    usage_level: Ladder<3>,
    level: Dwell<Level>,
    level_label: Level,
    alerts: Alerts,
    writes: Writes,
    critical_since: Option<Duration>,
    publisher: Publisher,
}

impl Controller {
    /// A controller that has seen nothing and limits nobody.
    ///
    /// `epoch` orders its configs among those of other starts: Unix milliseconds of the process's start. `seed` spreads
    /// the times at which breakers of several replicas ask again.
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
            // CRITICAL is what lies above its threshold, not at it.
            health: Ladder::new([thresholds.info_percent, thresholds.critical_percent.next_up()]),
            health_label: Health::Healthy,
            usage_level: Ladder::new([
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

    /// Takes in what happened since the previous tick and decides. Ticks may come unevenly, 100 ms apart is what the
    /// constants are made for; a clock that goes backwards counts as standing still.
    pub fn tick(&mut self, sample: &Sample, now: Duration) -> Decision {
        let now = self.last_tick.map_or(now, |last| last.max(now));
        let elapsed = self.last_tick.map_or(Duration::ZERO, |last| now - last).min(WINDOW);
        self.last_tick = Some(now);
        let mut events = Vec::new();

        let usage_percent = self.average_usage(sample, now, elapsed);
        let over_quota = sample.gate.over_quota as f64;
        self.rejects.add(sample.gate.rejected as f64 + over_quota, sample.gate.arrivals as f64 + over_quota, now);
        let fair_rate = if sample.contact == Contact::Paused {
            // A pause says nothing about capacity and demand: what is known of them is kept for when it ends.
            self.fair_rate.skip()
        } else if elapsed.is_zero() {
            self.fair_rate.in_force()
        } else {
            // Who turns nobody away has no gate that could be narrowed.
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
        let health = self.update_health(sample.contact, usage_percent, breaker, reason, now, &mut events);
        if level != self.level_label {
            events.push(Event::LevelChanged { from: self.level_label, to: level, reason });
            self.level_label = level;
        }
        let permits = self.lowered.unwrap_or(sample.gate.permits);
        let (breaker_state, writes) = (breaker.state, &self.writes);
        let situation = alerts::Situation { sample, usage_percent, breaker: breaker_state, reason, permits, writes };
        self.alerts.update(situation, now, &mut events);

        let config_changed = self.publisher.publish(Draft { health, level, reason, limits, breaker }, now);
        Decision {
            config: self.publisher.config().clone(),
            config_changed,
            usage_percent,
            permits,
            mean_hold: Duration::try_from_secs_f64(self.capacity.mean_hold()).ok().filter(|hold| !hold.is_zero()),
            filling: self.capacity.is_filling(),
            breaker: breaker.state,
            alerts: self.alerts.active().to_vec(),
            cleanup_due: self.is_cleanup_due(usage_percent, now),
            events,
        }
    }

    /// The pool's usage over two seconds, each value weighted with the time it stands for.
    fn average_usage(&mut self, sample: &Sample, now: Duration, elapsed: Duration) -> f64 {
        let usage = f64::from(sample.pool.checked_out) / f64::from(sample.pool.capacity.max(1));
        let weight = elapsed.as_secs_f64().max(1e-3);
        self.usage.add(usage * weight, weight, now);
        // Rounded, so that 27 of 30 is exactly 90 % however often it was added up.
        (100.0 * self.usage.ratio(now).unwrap_or(usage) * 1e6).round() / 1e6
    }

    fn update_breaker(&mut self, sample: &Sample, now: Duration, events: &mut Vec<Event>) -> Verdict {
        let situation = breaker::Situation {
            contact: sample.contact,
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

    /// Four rows by the pool's usage, always enforced.
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
            None if sample.contact == Contact::Paused => (by_usage.max(Level::Moderate), Reason::DatabasePaused),
            None if by_usage == Level::Normal => (by_usage, Reason::Healthy),
            None => (by_usage, Reason::PoolUsage),
        };
        (level, reason, Limits::Row(SixFields::of(level)))
    }

    /// The fair rate actuates; the level only says how well it works.
    fn adaptive(
        &mut self,
        sample: &Sample,
        fair_rate: Option<f64>,
        breaker: Verdict,
        now: Duration,
    ) -> (Level, Reason, Limits) {
        if sample.contact == Contact::Paused && breaker.reason.is_none() {
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
        contact: Contact,
        usage_percent: f64,
        breaker: Verdict,
        reason: Reason,
        now: Duration,
        events: &mut Vec<Event>,
    ) -> Health {
        // A database that nobody can use is as bad as a full pool; what follows it falls with the same calm.
        let lost =
            breaker.state == CircuitState::Open || (breaker.state == CircuitState::HalfOpen && contact.is_lost());
        let in_part = contact == Contact::Paused || self.writes.hindrance().is_some();
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
