//! The gate's decisions: who is let in at once, who waits, who goes first, and who is turned away.
//!
//! A [`Gate`] holds the account of permits and a bounded queue of whatever waits (`T`: a server's channel, a simulator's
//! request). It has no clock: each call says what time it is, as a duration since an origin of the caller's choice. The
//! caller wakes who is let in, tells who is turned away, and brings back permits.
//!
//! While permits are free nothing is asked of anybody. Then, in this order:
//!
//! 1. **Share.** A caller that has its share of the permits, in flight and waiting, goes after all who have less: nobody
//!    keeps all permits for itself while others wait. The share is in proportion to the clients that a caller stands for
//!    among all callers that are there, at least a tenth. So does what is in excess of a caller's allowance.
//! 2. **Priority.** The highest first; but of the permits that are handed on while it waits, and of the queue's places,
//!    each priority gets a tenth at least.
//! 3. **Age.** A line is first come, first served. One that has not drained for half a second, an eighth of one while
//!    clients are limited, only adds delay: everybody who waits has waited too long, and the newest is the one most likely
//!    to be still wanted. It is *standing*: its order turns to newest first (the adaptive LIFO of Facebook's "Fail at
//!    Scale", 2015), and those who have waited for too long are turned away at once instead of at the timeout. What is long
//!    follows a target that the controller can set.
//! 4. **Use.** Where somebody has to lose, it is who was let in most lately: a standing line serves light callers first,
//!    and in a full queue a lighter newcomer takes a heavy one's place. Less than 40 % more is no difference.
//! 5. **Deadlines.** Who would be let in too late to be answered in time is turned away before it costs a permit.
//!
//! ```
//! use std::time::Duration;
//! use poolgate_control::gate::{Admission, Arrival, Gate, GateSettings, Priority};
//!
//! let mut gate = Gate::new(GateSettings { permits: 1, max_queue: 2, ..GateSettings::default() });
//! let now = Duration::from_millis(1);
//! let urgent = Arrival { priority: Priority::Interactive, ..Arrival::default() };
//! assert_eq!(gate.arrive(Arrival::default(), now, || "first"), Admission::Granted);
//! assert!(matches!(gate.arrive(Arrival::default(), now, || "second"), Admission::Queued(_)));
//! assert!(matches!(gate.arrive(urgent, now, || "third"), Admission::Queued(_)));
//! assert!(matches!(gate.arrive(Arrival::default(), now, || "fourth"), Admission::Rejected(_)));
//! assert_eq!(gate.release(None, now), Some("third"), "it has the permit now");
//! assert_eq!(gate.release(None, now), Some("second"));
//! assert_eq!(gate.release(None, now), None, "nobody waits: nobody is in flight");
//! ```

mod arrival;
mod claims;
mod classes;
mod lanes;
mod line;
mod quota;
mod recent;
mod settings;
mod shares;
mod standing_wait;
mod usage;

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, time::Duration};

use self::{
    arrival::Lane,
    lanes::Lanes,
    line::Waiting,
    settings::Rules,
    shares::Shares,
    usage::{Usage, Weight},
};
pub use self::{
    arrival::{Admission, Arrival, Occupancy, Priority, Reason, Ticket},
    quota::{Crowd, Judged, OverQuota, Quota, Standing},
    settings::{GateSettings, Order},
};

/// Who had a permit and comes back for it may find them all in use and get one all the same, as long as not more than one
/// in so many is on top.
const SLACK: u32 = 5;

/// Permits, and a bounded queue of those who wait for one. Every operation takes logarithmic time at the most for each
/// who enters or goes.
#[derive(Clone, Debug)]
pub struct Gate<T> {
    permits: u32,
    max_queue: usize,
    rules: Rules,
    in_flight: u32,
    queue: Lanes<T>,
    next_number: u64,
    usage: Usage,
    shares: Shares,
    turned_away: VecDeque<(T, Reason)>,
}

impl<T> Gate<T> {
    /// An empty gate.
    pub fn new(settings: GateSettings) -> Self {
        Self {
            permits: settings.permits,
            max_queue: settings.max_queue,
            rules: Rules::new(&settings),
            in_flight: 0,
            queue: Lanes::default(),
            next_number: 0,
            usage: Usage::default(),
            shares: Shares::default(),
            turned_away: VecDeque::new(),
        }
    }

    /// Asks for a permit. Never overtakes those who wait. `waiter` is made only for who must wait.
    ///
    /// Somebody else may be turned away for it: see [`shed`](Self::shed).
    pub fn arrive(&mut self, arrival: Arrival, now: Duration, waiter: impl FnOnce() -> T) -> Admission {
        let Arrival { priority, caller, clients, deadline, excess } = arrival;
        let caller = self.told_apart(caller);
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Admission::Rejected(Reason::Deadline);
        }
        if self.in_flight < self.permits && self.queue.len() == 0 {
            self.enter(caller, clients);
            self.admit(caller, now);
            return Admission::Granted;
        }
        let latest_start = deadline.map_or(Duration::MAX, |deadline| self.rules.latest_start(deadline));
        if latest_start <= now {
            return Admission::Rejected(Reason::Deadline);
        }
        let weight = caller.map_or(Weight::default(), |caller| self.usage.weight(caller, clients, now));
        let has_its_share = caller.is_some_and(|caller| self.shares.has_its_share(caller, self.permits));
        let lane = if excess || has_its_share { Lane::Beyond } else { Lane::Within };
        if !self.has_room((priority, lane), weight, now) {
            return Admission::Rejected(Reason::QueueFull);
        }
        let expires = now.saturating_add(self.rules.timeout).min(latest_start);
        let ticket = Ticket { priority, lane, number: self.next_number, expires };
        self.next_number += 1;
        self.enter(caller, clients);
        self.queue.enter(ticket, Waiting { since: now, deadline, caller, weight, excess, waiter: waiter() });
        Admission::Queued(ticket)
    }

    /// A permit of this caller came back. Who is returned has it now; if it has gone in the meantime, call this again for
    /// it.
    pub fn release(&mut self, caller: Option<u64>, now: Duration) -> Option<T> {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(caller) = self.told_apart(caller) {
            self.shares.leave(caller);
        }
        self.grant(now)
    }

    /// Takes a permit for somebody who had one, gave it back while the database had nothing to do for it, and goes on now.
    /// It waits for nobody: a fifth of the permits may be in use on top. `false`: as many are; it has to
    /// [`arrive`](Self::arrive) again.
    pub fn resume(&mut self, arrival: Arrival) -> bool {
        let most = self.permits.saturating_add(self.permits.div_ceil(SLACK));
        let is_possible = self.in_flight < most;
        if is_possible {
            self.overdraw(arrival);
        }
        is_possible
    }

    /// Takes a permit, be one free or not: for who uses the database already.
    pub fn overdraw(&mut self, arrival: Arrival) {
        let caller = self.told_apart(arrival.caller);
        self.enter(caller, arrival.clients);
        self.in_flight += 1;
    }

    /// Gives a free permit to who is next. Needed after [`resize`](Self::resize), until it returns `None`.
    pub fn grant(&mut self, now: Duration) -> Option<T> {
        self.queue.observe(self.rules, now);
        self.expire(now);
        if self.in_flight >= self.permits {
            return None;
        }
        let next = self.queue.next()?;
        self.admit(next.caller, now);
        Some(next.waiter)
    }

    /// Leaves the queue. `None` if the permit was granted, or the waiter turned away, before.
    pub fn leave(&mut self, ticket: Ticket) -> Option<T> {
        let waiting = self.queue.remove(ticket)?;
        Some(self.gone(waiting))
    }

    /// Takes out one of those who are turned away after waiting. To be called until it returns `None`, after
    /// [`arrive`](Self::arrive), [`release`](Self::release) and [`grant`](Self::grant), and at
    /// [`next_expiry`](Self::next_expiry).
    pub fn shed(&mut self, now: Duration) -> Option<(T, Reason)> {
        if self.turned_away.is_empty() {
            self.expire(now);
        }
        self.turned_away.pop_front()
    }

    /// When somebody's wait is over, unless it is let in before.
    pub fn next_expiry(&self) -> Option<Duration> {
        self.queue.next_expiry(self.rules)
    }

    /// Sets the number of permits. More than that stay in flight until they come back.
    pub fn resize(&mut self, permits: u32) {
        self.permits = permits;
    }

    /// Sets the mean time for which a permit is held. The queue of a priority is standing when its oldest waits for more
    /// than 0.7 of that, at least 5 and at most 200 ms, and those who have waited for 2.25 times as long are then turned
    /// away. So is anybody who has less than half the mean left before its deadline. Default: 50 ms for the queue, nothing
    /// for deadlines.
    pub fn set_hold(&mut self, mean_hold: Duration) {
        self.rules = self.rules.with_hold(mean_hold);
    }

    /// Says whether clients are limited. While they are, a queue is standing after 125 ms; otherwise after 500 ms. Default:
    /// they are not.
    pub fn set_limited(&mut self, limited: bool) {
        self.rules = self.rules.with_limits(limited);
    }

    /// Says whether connections are being opened that those who were let in wait for. A queue drains when they are there,
    /// so until then none is standing. Default: no.
    pub fn set_filling(&mut self, filling: bool) {
        self.rules = self.rules.with_filling(filling);
    }

    /// What is in use, and who waits.
    pub fn occupancy(&self, now: Duration) -> Occupancy {
        Occupancy {
            permits: self.permits,
            in_flight: self.in_flight,
            queued: u32::try_from(self.queue.len()).unwrap_or(u32::MAX),
            excess: u32::try_from(self.queue.excess()).unwrap_or(u32::MAX),
            oldest_wait: self.queue.oldest_since().map_or(Duration::ZERO, |since| now.saturating_sub(since)),
        }
    }

    fn admit(&mut self, caller: Option<u64>, now: Duration) {
        self.in_flight += 1;
        if let Some(caller) = caller {
            self.usage.add(caller, now);
        }
    }

    /// The caller, where callers are told apart.
    fn told_apart(&self, caller: Option<u64>) -> Option<u64> {
        caller.filter(|_| self.rules.order == Order::Adaptive)
    }

    fn enter(&mut self, caller: Option<u64>, clients: u32) {
        if let Some(caller) = caller {
            self.shares.enter(caller, clients);
        }
    }

    /// Somebody waits no more, and got no permit.
    fn gone(&mut self, waiting: Waiting<T>) -> T {
        if let Some(caller) = waiting.caller {
            self.shares.leave(caller);
        }
        waiting.waiter
    }

    /// Whether the queue has a place, if need be somebody else's.
    fn has_room(&mut self, newcomer: (Priority, Lane), weight: Weight, now: Duration) -> bool {
        if self.queue.len() >= self.max_queue {
            self.expire(now);
        }
        if self.queue.len() < self.max_queue {
            return true;
        }
        let Some(displaced) = self.queue.make_room(newcomer, weight, self.max_queue) else { return false };
        let displaced = self.gone(displaced);
        self.turned_away.push_back((displaced, Reason::Displaced));
        true
    }

    fn expire(&mut self, now: Duration) {
        while let Some((waiting, reason)) = self.queue.expire(self.rules, now) {
            let waiter = self.gone(waiting);
            self.turned_away.push_back((waiter, reason));
        }
    }
}
