//! The read-only views of a throttle.

use std::time::Duration;

use poolgate_types::{CircuitState, Health};

use super::Throttle;
use crate::{
    Eta, Priority, Savings, State,
    eta::{self, Ahead},
    event::Reported,
    servers::Held,
};

impl Throttle {
    /// The state at `now`.
    pub fn state(&self, now: Duration) -> State {
        let now = self.now.max(now);
        let held = self.lease.held(now);
        let limits = self.lease.limits_at(now);
        let oldest = self.queue.oldest_since();
        let Reported { level, breaker, stale } = self.to_report(now);
        let has_room = self.queue.is_empty() || self.queue.len() < self.settings.max_queue;
        let newcomer = has_room.then(|| self.queue.ahead_of_newcomer(Priority::Normal, self.discipline())).flatten();
        let first = self.queue.ahead_of_oldest(self.discipline());
        let eta = |ahead: Option<Ahead>| {
            ahead.filter(|_| breaker == CircuitState::Closed).and_then(|ahead| self.eta(ahead, now))
        };
        State {
            level,
            health: held.map_or(Health::default(), |held| held.policy.health),
            breaker,
            enforced: held.is_some_and(Held::is_enforced),
            stale,
            passes_through: self.passes_through(),
            in_flight: self.in_flight,
            queued: self.queue.len(),
            oldest_wait: oldest.map_or(Duration::ZERO, |since| now.saturating_sub(since)),
            eta: eta(newcomer),
            oldest_eta: eta(first),
            paused_for: if self.passes_through() { Duration::ZERO } else { self.paused_until().saturating_sub(now) },
            version: held.map(|held| held.policy.at),
            rate_per_second: limits.rate_per_second,
            limits,
        }
    }

    /// What to store for the next throttle of this client, at most once a second and when the page is left, together
    /// with the time of day. `None`: a new client would have the same; delete what is stored.
    pub fn savings(&self, now: Duration) -> Option<Savings> {
        let now = self.now.max(now);
        let paused_for = self.pause.until().saturating_sub(now);
        if paused_for.is_zero() && !self.bucket.is_worth_saving(now) {
            return None;
        }
        let paused_for_seconds = paused_for.as_secs_f64();
        Some(Savings { paused_for_seconds, epoch: self.epoch, ..self.bucket.savings(now) })
    }

    /// The state as `poll` reports it.
    pub(super) fn to_report(&self, now: Duration) -> Reported {
        self.lease.held(now).map_or_else(Reported::default, |held| Reported {
            level: held.policy.level,
            breaker: self.breaker.state(now, held.is_stale(now)),
            stale: held.is_stale(now),
        })
    }

    /// How long a request waits if the requests `ahead` start first.
    fn eta(&self, ahead: Ahead, now: Duration) -> Option<Eta> {
        if self.passes_through() {
            return Some(Eta { earliest: Duration::ZERO, latest: Duration::ZERO });
        }
        let wait = |starts: u32, cost: f64| {
            let budget = self.bucket.ready_after(cost, now).max(self.spacing.ready_after(starts, &self.limits, now));
            budget.max(self.paused_until()).saturating_sub(now)
        };
        let (least, _) = eta::cost_of(ahead.least);
        let (_, most) = eta::cost_of(ahead.most);
        (!self.is_full()).then(|| Eta { earliest: wait(ahead.least, least), latest: wait(ahead.most, most) })
    }
}
