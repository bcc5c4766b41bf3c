//! How many may be in flight, and who waits.
//!
//! Under normal load the queue is first come, first served. A queue that has not drained for a whole
//! [`INTERVAL`] only adds delay: everybody who waits has waited too long, and the newest is the one most likely to be
//! still wanted. The order then turns to newest first, and those older than [`MAX_AGE`] are rejected at once instead of
//! at the timeout. This is CoDel's test (Nichols, Jacobson: "Controlling Queue Delay", 2012) with the adaptive LIFO of
//! Facebook's "Fail at Scale" (2015). The delay that is tested is the oldest waiter's, which unlike that of whoever is
//! served next does not depend on the order.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{permit::Permit, tally::Tally};
use crate::settings::{GateSettings, QueueOrder};

/// A queue whose oldest waiter stays above this is standing. It is where the controller's law lets the queue settle.
const TARGET: Duration = Duration::from_millis(40);
/// For how long it must stay above.
const INTERVAL: Duration = Duration::from_millis(100);
/// How old a waiter of a standing queue gets before it is rejected.
const MAX_AGE: Duration = Duration::from_millis(90);

/// Permits, and a bounded queue of those who wait for one.
#[derive(Debug)]
pub(crate) struct Limiter {
    permits: u32,
    max_queue: usize,
    order: QueueOrder,
    tally: Tally,
    state: Mutex<State>,
}

/// One reading of the limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Occupancy {
    /// Permits in all.
    pub(crate) permits: u32,
    /// Permits in use.
    pub(crate) in_flight: u32,
    /// Requests that wait.
    pub(crate) queued: u32,
    /// How long the oldest of them has waited.
    pub(crate) oldest_wait: Duration,
}

/// What asking for a permit comes to.
#[derive(Debug)]
pub(super) enum Admission {
    Granted { permit: Permit, in_flight: u32 },
    Queued(Waiter),
    Full,
}

/// A place in the queue. Dropping it leaves the queue.
#[derive(Debug)]
pub(super) struct Waiter {
    limiter: Arc<Limiter>,
    number: u64,
    pub(super) permit: oneshot::Receiver<Permit>,
}

#[derive(Debug)]
struct State {
    in_flight: u32,
    queue: VecDeque<Queued>,
    next_number: u64,
    standing: bool,
    shortest_wait: Duration,
    interval_end: Instant,
}

#[derive(Debug)]
struct Queued {
    number: u64,
    since: Instant,
    grant: oneshot::Sender<Permit>,
}

impl Limiter {
    pub(super) fn new(settings: &GateSettings) -> Arc<Self> {
        Arc::new(Self {
            permits: settings.max_concurrent_requests,
            max_queue: settings.max_queue as usize,
            order: settings.order,
            tally: Tally::default(),
            state: Mutex::new(State {
                in_flight: 0,
                queue: VecDeque::new(),
                next_number: 0,
                standing: false,
                shortest_wait: Duration::ZERO,
                interval_end: Instant::now(),
            }),
        })
    }

    /// Takes a permit, or a place in the queue. Never overtakes those who wait.
    pub(super) fn ask(self: &Arc<Self>) -> Admission {
        let mut state = self.lock();
        if state.in_flight < self.permits {
            state.in_flight += 1;
            let in_flight = state.in_flight;
            drop(state);
            return Admission::Granted { permit: Permit::new(Arc::clone(self)), in_flight };
        }
        if state.queue.len() >= self.max_queue {
            return Admission::Full;
        }
        let (grant, permit) = oneshot::channel();
        let number = state.next_number;
        state.next_number += 1;
        state.queue.push_back(Queued { number, since: Instant::now(), grant });
        Admission::Queued(Waiter { limiter: Arc::clone(self), number, permit })
    }

    /// Hands a permit that came back to whoever is next.
    pub(super) fn release(self: &Arc<Self>) {
        loop {
            let now = Instant::now();
            let mut state = self.lock();
            // Who is dropped here sees its channel close, and rejects. Dropping wakes tasks, so it is left to after the lock.
            let too_old = self.shed(&mut state, now);
            let Some(next) = self.next(&mut state) else {
                state.in_flight = state.in_flight.saturating_sub(1);
                drop(state);
                drop(too_old);
                return;
            };
            drop(state);
            drop(too_old);
            match next.grant.send(Permit::new(Arc::clone(self))) {
                Ok(()) => return,
                // Gone in this very moment: the permit goes to the next one, without coming back through its `Drop`.
                Err(permit) => permit.forget(),
            }
        }
    }

    pub(crate) fn occupancy(&self) -> Occupancy {
        let state = self.lock();
        Occupancy {
            permits: self.permits,
            in_flight: state.in_flight,
            queued: u32::try_from(state.queue.len()).unwrap_or(u32::MAX),
            oldest_wait: state.queue.front().map_or(Duration::ZERO, |oldest| oldest.since.elapsed()),
        }
    }

    /// Permits in all.
    pub(super) fn permits(&self) -> u32 {
        self.permits
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    fn next(&self, state: &mut State) -> Option<Queued> {
        if state.standing { state.queue.pop_back() } else { state.queue.pop_front() }
    }

    /// Decides whether the queue is standing; takes those out of a standing queue who have waited too long.
    fn shed(&self, state: &mut State, now: Instant) -> Vec<Queued> {
        if self.order == QueueOrder::Fifo {
            return Vec::new();
        }
        let wait = state.queue.front().map_or(Duration::ZERO, |oldest| now.saturating_duration_since(oldest.since));
        state.observe(wait, now);
        if !state.standing {
            return Vec::new();
        }
        let too_old = state.queue.partition_point(|waiter| now.saturating_duration_since(waiter.since) > MAX_AGE);
        state.queue.drain(..too_old).collect()
    }

    fn leave(&self, number: u64) {
        let mut state = self.lock();
        // Numbers rise from front to back.
        if let Ok(place) = state.queue.binary_search_by_key(&number, |waiter| waiter.number) {
            state.queue.remove(place);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can panic halfway; a poisoned lock is as good as any.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn observe(&mut self, wait: Duration, now: Instant) {
        if wait.is_zero() {
            self.standing = false;
        }
        if now < self.interval_end {
            self.shortest_wait = self.shortest_wait.min(wait);
            return;
        }
        self.standing = !wait.is_zero() && self.shortest_wait > TARGET;
        self.shortest_wait = wait;
        self.interval_end = now + INTERVAL;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.limiter.leave(self.number);
        // A permit that was sent a moment ago and never received is dropped with the channel, which gives it back.
    }
}
