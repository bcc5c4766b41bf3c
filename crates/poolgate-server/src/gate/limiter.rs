//! Permits and the requests queued for them: the decisions of [`poolgate_control::gate`], with a lock, a clock and
//! channels.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use poolgate_control::gate::{self, Arrival, Gate, GateOrders, Occupancy, Order, Reason, Ticket};
use tokio::{
    sync::oneshot,
    time::{self, Sleep},
};

use super::tally::Tally;
use crate::settings::{GateSettings, QueueOrder};

/// Shortest time between two warnings that the gate is nearly full.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// Permits, and a bounded queue of the requests that wait for one.
#[derive(Debug)]
pub(crate) struct Limiter {
    gate: Mutex<Gate<Grant>>,
    origin: Instant,
    tally: Tally,
    /// When the last warning was logged, in milliseconds since the origin; 0: never.
    warned_millis: AtomicU64,
}

/// Wakes a queued request. Dropping it rejects the request.
#[derive(Debug)]
struct Grant {
    caller: Option<u64>,
    sender: oneshot::Sender<Permit>,
}

/// The right to be in flight. Dropping it gives it back, exactly once.
pub(super) struct Permit {
    limiter: Option<Arc<Limiter>>,
    caller: Option<u64>,
}

/// The answer to a request for a permit.
#[derive(Debug)]
pub(super) enum Admission {
    Granted(Permit),
    Queued(Queued),
    Rejected(Reason),
}

/// A place in the queue, and the wait for its permit: `None` if none comes in time. Dropping it leaves the queue.
#[derive(Debug)]
pub(super) struct Queued {
    limiter: Arc<Limiter>,
    ticket: Ticket,
    permit: oneshot::Receiver<Permit>,
    deadline: time::Instant,
    /// Made by the first poll, because a place may be dropped outside of a runtime.
    timeout: Option<Pin<Box<Sleep>>>,
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
        Arc::new(Self {
            gate: Mutex::new(gate),
            origin: Instant::now(),
            tally: Tally::default(),
            warned_millis: AtomicU64::new(0),
        })
    }

    /// Applies orders, and lets in queued requests if there are more permits than before.
    pub(super) fn obey(self: &Arc<Self>, orders: &GateOrders) {
        if !self.lock().obey(orders) {
            return;
        }
        loop {
            let now = self.at(Instant::now());
            let mut gate = self.lock();
            let next = gate.grant(now);
            let rejected = shed(&mut gate, now);
            drop(gate);
            drop(rejected);
            let Some(grant) = next else { return };
            // If the request is gone in this very moment, the permit is dropped and goes to the next one.
            drop(grant.sender.send(Permit::new(Arc::clone(self), grant.caller)));
        }
    }

    /// Changes the bounds of the queue.
    pub(super) fn set_queue(&self, settings: &GateSettings) {
        self.lock().set_queue(settings.max_queue as usize, settings.timeout);
    }

    /// Takes a permit or a place in the queue; a newcomer never overtakes the queue.
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
        let rejected = shed(&mut gate, now);
        drop(gate);
        drop(rejected);
        match (decided, place) {
            (gate::Admission::Granted, _) => {
                self.warn_if_nearly_full(occupancy, now);
                Admission::Granted(Permit::new(Arc::clone(self), arrival.caller))
            }
            (gate::Admission::Queued(ticket), Some(permit)) => {
                let deadline = time::Instant::now() + ticket.expires().saturating_sub(now);
                Admission::Queued(Queued { limiter: Arc::clone(self), ticket, permit, deadline, timeout: None })
            }
            (gate::Admission::Rejected(reason), _) => Admission::Rejected(reason),
            // A queued request always has a place.
            (gate::Admission::Queued(_), None) => Admission::Rejected(Reason::QueueFull),
        }
    }

    /// A permit again for a request that gave its own back while the database had nothing to do for it. It does not
    /// wait; `None` if too many requests have done so.
    pub(super) fn resume(self: &Arc<Self>, arrival: Arrival) -> Option<Permit> {
        self.lock().resume(arrival).then(|| Permit::new(Arc::clone(self), arrival.caller))
    }

    /// A permit for a request that uses the database already, whether one is free or not.
    pub(super) fn overdraw(self: &Arc<Self>, arrival: Arrival) -> Permit {
        self.lock().overdraw(arrival);
        Permit::new(Arc::clone(self), arrival.caller)
    }

    /// Hands a returned permit of this caller to the next queued request.
    fn release(self: &Arc<Self>, mut caller: Option<u64>) {
        loop {
            let now = self.at(Instant::now());
            let mut gate = self.lock();
            let next = gate.release(caller, now);
            let rejected = shed(&mut gate, now);
            drop(gate);
            drop(rejected);
            let Some(grant) = next else { return };
            match grant.sender.send(Permit::new(Arc::clone(self), grant.caller)) {
                Ok(()) => return,
                // The request is gone in this very moment. The loop, not the permit's `Drop`, passes the permit on.
                Err(permit) => permit.forget(),
            }
            caller = grant.caller;
        }
    }

    pub(crate) fn occupancy(&self) -> Occupancy {
        let now = self.at(Instant::now());
        self.lock().occupancy(now)
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The gate's time.
    pub(super) fn at(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.origin)
    }

    fn warn_if_nearly_full(&self, occupancy: Occupancy, now: Duration) {
        let Occupancy { permits, in_flight, queued: waiting, .. } = occupancy;
        if u64::from(in_flight) * 10 < u64::from(permits) * 9 {
            return;
        }
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let warned = self.warned_millis.load(Relaxed);
        let is_due = warned == 0 || now.saturating_sub(warned) >= WARNING_INTERVAL.as_millis() as u64;
        if is_due && self.warned_millis.compare_exchange(warned, now.max(1), Relaxed, Relaxed).is_ok() {
            let usage = f64::from(in_flight) / f64::from(permits) * 100.0;
            tracing::warn!(in_flight, permits, waiting, "Connection gate usage high: {usage:.1}%");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Gate<Grant>> {
        // Nothing under this lock can panic halfway, so a poisoned lock is as good as any.
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    fn new(limiter: Arc<Limiter>, caller: Option<u64>) -> Self {
        Self { limiter: Some(limiter), caller }
    }

    /// Ends this value without giving the permit back.
    fn forget(mut self) {
        self.limiter = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(limiter) = self.limiter.take() {
            limiter.release(self.caller);
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("caller", &self.caller).finish_non_exhaustive()
    }
}

impl Future for Queued {
    type Output = Option<Permit>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Permit>> {
        let this = self.get_mut();
        // A permit that came in time counts, even if the timeout has passed by now.
        if let Poll::Ready(granted) = Pin::new(&mut this.permit).poll(context) {
            return Poll::Ready(granted.ok());
        }
        let timeout = this.timeout.get_or_insert_with(|| Box::pin(time::sleep_until(this.deadline)));
        timeout.as_mut().poll(context).map(|()| None)
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        // Its grant is dropped after the lock, too.
        let _grant = self.limiter.lock().leave(self.ticket);
        // A permit that was sent but not received is dropped with the channel, which gives it back.
    }
}

/// Takes out the requests that are rejected. Each sees its channel close when its grant is dropped. That wakes a task,
/// so the caller drops the grants after the lock.
fn shed(gate: &mut Gate<Grant>, now: Duration) -> Vec<Grant> {
    std::iter::from_fn(|| gate.shed(now)).map(|(grant, _)| grant).collect()
}
