//! Permits and who waits for one: the decisions of [`poolgate_control::gate`], with a lock, a clock and channels.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use poolgate_control::gate::{self, Admission as Decided, Arrival, Gate, Occupancy, Order, Reason, Ticket};
use tokio::sync::oneshot;

use super::{permit::Permit, reject::Reject, tally::Tally};
use crate::settings::{GateSettings, QueueOrder};

/// Permits, and a bounded queue of those who wait for one.
#[derive(Debug)]
pub(crate) struct Limiter {
    gate: Mutex<Gate<Grant>>,
    permits: AtomicU32,
    origin: Instant,
    tally: Tally,
}

/// Wakes who waits. Dropping it turns the waiter away.
#[derive(Debug)]
struct Grant {
    caller: Option<u64>,
    sender: oneshot::Sender<Permit>,
}

/// What asking for a permit comes to.
#[derive(Debug)]
pub(super) enum Admission {
    Granted { permit: Permit, occupancy: Occupancy },
    Queued(Waiter),
    Rejected(Reject),
}

/// A place in the queue. Dropping it leaves the queue.
#[derive(Debug)]
pub(super) struct Waiter {
    limiter: Arc<Limiter>,
    ticket: Ticket,
    /// For how long it waits at the most.
    pub(super) patience: Duration,
    pub(super) permit: oneshot::Receiver<Permit>,
}

impl Limiter {
    pub(super) fn new(settings: &GateSettings) -> Arc<Self> {
        let gate = Gate::new(gate::GateSettings {
            permits: settings.max_concurrent_requests,
            max_queue: settings.max_queue as usize,
            timeout: settings.timeout,
            order: match settings.order {
                QueueOrder::Adaptive => Order::Adaptive,
                QueueOrder::Fifo => Order::Fifo,
            },
        });
        let permits = AtomicU32::new(settings.max_concurrent_requests);
        Arc::new(Self { gate: Mutex::new(gate), permits, origin: Instant::now(), tally: Tally::default() })
    }

    /// Requests that may be in flight at the most: by the settings, and by what the pool has grown.
    pub(crate) fn permits(&self) -> u32 {
        self.permits.load(Relaxed)
    }

    /// Sets that; how many may be in flight now is for [`resize`](Self::resize).
    pub(crate) fn set_permits(&self, permits: u32) {
        self.permits.store(permits, Relaxed);
    }

    /// Sets how many may be in flight from now on, and lets in those who wait for what is new.
    pub(crate) fn resize(self: &Arc<Self>, permits: u32) {
        self.lock().resize(permits);
        loop {
            let now = self.at(Instant::now());
            let mut gate = self.lock();
            let next = gate.grant(now);
            let turned_away = shed(&mut gate, now);
            drop(gate);
            drop(turned_away);
            let Some(grant) = next else { return };
            // Who is gone in this very moment drops the permit, which then goes to the next one.
            drop(grant.sender.send(Permit::new(Arc::clone(self), grant.caller)));
        }
    }

    /// Takes a permit, or a place in the queue. Never overtakes those who wait.
    pub(super) fn ask(self: &Arc<Self>, arrival: Arrival, now: Instant) -> Admission {
        let now = self.at(now);
        let mut place = None;
        let mut gate = self.lock();
        let decided = gate.arrive(arrival, now, || {
            let (sender, permit) = oneshot::channel();
            place = Some(permit);
            Grant { caller: arrival.caller, sender }
        });
        let occupancy = gate.occupancy(now);
        let turned_away = shed(&mut gate, now);
        drop(gate);
        drop(turned_away);
        match (decided, place) {
            (Decided::Granted, _) => {
                Admission::Granted { permit: Permit::new(Arc::clone(self), arrival.caller), occupancy }
            }
            (Decided::Queued(ticket), Some(permit)) => {
                let patience = ticket.expires().saturating_sub(now);
                Admission::Queued(Waiter { limiter: Arc::clone(self), ticket, patience, permit })
            }
            (Decided::Rejected(Reason::QueueFull), _) => Admission::Rejected(Reject::QueueFull),
            _ => Admission::Rejected(Reject::Timeout),
        }
    }

    /// A permit again for a request that gave its own back while the database had nothing to do: without waiting, unless too many
    /// do so.
    pub(super) fn resume(self: &Arc<Self>, arrival: Arrival) -> Option<Permit> {
        self.lock().resume(arrival).then(|| Permit::new(Arc::clone(self), arrival.caller))
    }

    /// A permit for who uses the database already, be one free or not.
    pub(super) fn overdraw(self: &Arc<Self>, arrival: Arrival) -> Permit {
        self.lock().overdraw(arrival);
        Permit::new(Arc::clone(self), arrival.caller)
    }

    /// Hands a permit of this caller that came back to whoever is next.
    pub(super) fn release(self: &Arc<Self>, mut caller: Option<u64>) {
        loop {
            let now = self.at(Instant::now());
            let mut gate = self.lock();
            let next = gate.release(caller, now);
            let turned_away = shed(&mut gate, now);
            drop(gate);
            drop(turned_away);
            let Some(grant) = next else { return };
            match grant.sender.send(Permit::new(Arc::clone(self), grant.caller)) {
                Ok(()) => return,
                // Gone in this very moment: the permit goes to the next one, without coming back through its `Drop`.
                Err(permit) => permit.forget(),
            }
            caller = grant.caller;
        }
    }

    pub(crate) fn occupancy(&self) -> Occupancy {
        let now = self.at(Instant::now());
        self.lock().occupancy(now)
    }

    /// Tells for how long a permit is held on average: who has less than half of that left is not let in any more.
    pub(crate) fn set_hold(&self, mean_hold: Duration) {
        self.lock().set_hold(mean_hold);
    }

    /// Tells whether clients are limited: then the queue is kept shorter.
    pub(crate) fn set_limited(&self, limited: bool) {
        self.lock().set_limited(limited);
    }

    /// Tells whether connections are being opened: then a queue will drain.
    pub(crate) fn set_filling(&self, filling: bool) {
        self.lock().set_filling(filling);
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The gate's time.
    pub(super) fn at(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.origin)
    }

    fn lock(&self) -> MutexGuard<'_, Gate<Grant>> {
        // Nothing under this lock can panic halfway; a poisoned lock is as good as any.
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who is dropped sees its channel close, and rejects. Dropping wakes tasks, so it is left to after the lock.
fn shed(gate: &mut Gate<Grant>, now: Duration) -> Vec<Grant> {
    std::iter::from_fn(|| gate.shed(now)).map(|(grant, _)| grant).collect()
}

impl Drop for Waiter {
    fn drop(&mut self) {
        // Its place is dropped after the lock as well.
        let _place = self.limiter.lock().leave(self.ticket);
        // A permit that was sent a moment ago and never received is dropped with the channel, which gives it back.
    }
}
