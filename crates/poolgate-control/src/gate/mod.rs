//! The gate's decisions: which requests are admitted, queued or rejected, and in which order.
//!
//! A [`Gate`] counts permits and holds a bounded queue of waiters (`T`: a server's channel, a simulator's request). It
//! has no clock: each call passes the time, as a duration since an origin of the caller's choice. The caller wakes
//! waiters that got a permit, answers those that were rejected, and brings back permits.
//!
//! As long as permits are free, every request gets one. When none is free, these rules apply in this order:
//!
//! 1. **Share.** A caller that has its share of the permits, in flight and queued, goes after all callers that have
//!    less, so none keeps all permits while others wait. The share is in proportion to the clients that a caller stands
//!    for among all callers present, and at least a tenth. A request that exceeds its caller's allowance goes last,
//!    too.
//! 2. **Priority.** The highest goes first. Each priority gets at least a tenth of the permits that are handed on while
//!    it is queued, and of the queue's places.
//! 3. **Age.** A line is first come, first served. While clients are limited, the queue has places for 2.1 mean holds, of
//!    which a caller that has its share of the permits may use a third while there are other callers. If a line has not
//!    drained for half a second (0.4 s while clients are limited), it only adds delay: every request in it has waited too
//!    long, and the newest is the most likely to be still wanted. Such a line is *standing*. Its order turns to newest
//!    first (the adaptive LIFO of Facebook's "Fail at Scale", 2015), and requests that have waited too long are rejected
//!    at once instead of at the timeout. The controller can set how long is too long.
//! 4. **Use.** When a request must lose, it is one of the caller that was admitted most recently: a standing line
//!    serves light callers first, and in a full queue a lighter newcomer takes a heavier caller's place. A difference
//!    of less than 40 % does not count.
//! 5. **Deadlines.** A request that would be admitted too late to be answered in time is rejected before it costs a
//!    permit.
//!
//! ```
//! use std::time::Duration;
//! use poolgate_control::gate::{Admission, Arrival, Gate, GateSettings};
//! use poolgate_types::Priority;
//!
//! let mut gate = Gate::new(GateSettings { permits: 1, max_queue: 2, ..GateSettings::default() });
//! let now = Duration::from_millis(1);
//! let urgent = Arrival { priority: Priority::High, ..Arrival::default() };
//! assert_eq!(gate.arrive(Arrival::default(), now, || "first"), Admission::Granted);
//! assert!(matches!(gate.arrive(Arrival::default(), now, || "second"), Admission::Queued(_)));
//! assert!(matches!(gate.arrive(urgent, now, || "third"), Admission::Queued(_)));
//! assert!(matches!(gate.arrive(Arrival::default(), now, || "fourth"), Admission::Rejected(_)));
//! assert_eq!(gate.release(None, now), Some("third"), "it has the permit now");
//! assert_eq!(gate.release(None, now), Some("second"));
//! assert_eq!(gate.release(None, now), None, "the queue is empty and nothing is in flight");
//! ```

mod arrival;
mod bucket;
mod claims;
mod classes;
mod heard;
mod lanes;
mod lately;
mod line;
mod orders;
mod quota;
mod recent;
mod settings;
mod shares;
mod standing_wait;
mod usage;

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, mem, time::Duration};

use poolgate_types::Priority;

pub(crate) use self::settings::DEFAULT_HOLD;
use self::{
    arrival::Lane,
    lanes::Lanes,
    line::Queued,
    settings::Rules,
    shares::Shares,
    usage::{Usage, Weight},
};
pub use self::{
    arrival::{Admission, Arrival, Occupancy, Reason, Ticket},
    claims::Crowd,
    orders::GateOrders,
    quota::{Coverage, Judged, OverQuota, Quota},
    settings::{GateSettings, Order},
};

/// A request that had a permit and wants it back gets one even if none is free, up to one in this many on top.
const SLACK: u32 = 5;

/// Permits, and a bounded queue of waiters. Each operation takes at most logarithmic time for each request that enters
/// or leaves.
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
    rejected: VecDeque<(T, Reason)>,
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
            rejected: VecDeque::new(),
        }
    }

    /// Changes how many requests may be queued from now on, and for how long. Those that are queued keep their place and
    /// their time.
    pub fn set_queue(&mut self, max_queue: usize, timeout: Duration) {
        self.max_queue = max_queue;
        self.rules.timeout = timeout;
    }

    /// Asks for a permit; a newcomer never overtakes the queue. `waiter` is called only if the request is queued.
    ///
    /// Another request may be rejected to make room: see [`shed`](Self::shed).
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
        let crowds = lane == Lane::Beyond && caller.is_some_and(|caller| self.shares.has_others(caller));
        let places = self.rules.places(self.permits, self.max_queue, crowds);
        if !self.has_room((priority, lane), weight, places, now) {
            return Admission::Rejected(Reason::QueueFull);
        }
        let expires = now.saturating_add(self.rules.timeout).min(latest_start);
        let ticket = Ticket { priority, lane, number: self.next_number, expires };
        self.next_number += 1;
        self.enter(caller, clients);
        self.queue.enter(ticket, Queued { since: now, deadline, caller, weight, excess, waiter: waiter() });
        Admission::Queued(ticket)
    }

    /// Takes back a permit of this caller. Returns the waiter that has it now. If that waiter is gone in the meantime,
    /// call this again for its caller.
    pub fn release(&mut self, caller: Option<u64>, now: Duration) -> Option<T> {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(caller) = self.told_apart(caller) {
            self.shares.leave(caller);
        }
        self.grant(now)
    }

    /// Takes a permit again for a request that gave its own back while the database had nothing to do for it. It does
    /// not wait: a fifth of the permits may be in use on top. `false`: that many are, and the request has to
    /// [`arrive`](Self::arrive) again.
    pub fn resume(&mut self, arrival: Arrival) -> bool {
        let most = self.permits.saturating_add(self.permits.div_ceil(SLACK));
        let is_possible = self.in_flight < most;
        if is_possible {
            self.overdraw(arrival);
        }
        is_possible
    }

    /// Takes a permit, whether one is free or not, for a request that uses the database already.
    pub fn overdraw(&mut self, arrival: Arrival) {
        let caller = self.told_apart(arrival.caller);
        self.enter(caller, arrival.clients);
        self.in_flight += 1;
    }

    /// Applies orders as a whole. `true`: there are more permits than before; hand them out with [`grant`](Self::grant)
    /// until it returns `None`.
    #[must_use = "queued requests may have to be let in"]
    pub fn obey(&mut self, orders: &GateOrders) -> bool {
        if let Some(mean_hold) = orders.mean_hold {
            self.rules = self.rules.with_hold(mean_hold);
        }
        self.rules = self.rules.with_limits(orders.limited).with_filling(orders.filling);
        let permits = orders.permits.unwrap_or(self.permits);
        permits > mem::replace(&mut self.permits, permits)
    }

    /// Gives a free permit to the waiter that is next.
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

    /// Leaves the queue. `None` if the waiter has got a permit or was rejected before.
    pub fn leave(&mut self, ticket: Ticket) -> Option<T> {
        let queued = self.queue.remove(ticket)?;
        Some(self.left(queued))
    }

    /// Takes out a waiter that is rejected after it was queued. Call it until it returns `None`: after
    /// [`arrive`](Self::arrive), [`release`](Self::release) and [`grant`](Self::grant), and at
    /// [`next_expiry`](Self::next_expiry).
    pub fn shed(&mut self, now: Duration) -> Option<(T, Reason)> {
        if self.rejected.is_empty() {
            self.expire(now);
        }
        self.rejected.pop_front()
    }

    /// The next time at which a waiter is rejected, unless it gets a permit before.
    pub fn next_expiry(&self) -> Option<Duration> {
        self.queue.next_expiry(self.rules)
    }

    /// How many permits are in use, and how many requests are queued.
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

    /// The caller, if the order tells callers apart.
    fn told_apart(&self, caller: Option<u64>) -> Option<u64> {
        caller.filter(|_| self.rules.order == Order::Adaptive)
    }

    fn enter(&mut self, caller: Option<u64>, clients: u32) {
        if let Some(caller) = caller {
            self.shares.enter(caller, clients);
        }
    }

    /// A request has left the queue without a permit.
    fn left(&mut self, queued: Queued<T>) -> T {
        if let Some(caller) = queued.caller {
            self.shares.leave(caller);
        }
        queued.waiter
    }

    /// Whether the queue has a place for the newcomer; another request may lose its own.
    fn has_room(&mut self, newcomer: (Priority, Lane), weight: Weight, places: usize, now: Duration) -> bool {
        if self.queue.len() >= places {
            self.expire(now);
        }
        if self.queue.len() < places {
            return true;
        }
        let Some(displaced) = self.queue.make_room(newcomer, weight, places) else { return false };
        let displaced = self.left(displaced);
        self.rejected.push_back((displaced, Reason::Displaced));
        true
    }

    fn expire(&mut self, now: Duration) {
        while let Some((queued, reason)) = self.queue.expire(self.rules, now) {
            let waiter = self.left(queued);
            self.rejected.push_back((waiter, reason));
        }
    }
}
