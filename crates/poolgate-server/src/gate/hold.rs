//! An admitted request and its permit: held while the database works for it, given back meanwhile.
//!
//! A [`Hold`] follows one request to the end of its response. [`SlowReaders`] gives back the permits of responses whose
//! readers stall. The transport asks for more of a body when its reader has taken what was there. A reader that stalls
//! asks for nothing, so the body cannot give its permit back by itself.

use std::{
    fmt, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use http::StatusCode;
use poolgate_control::gate::{Arrival, Occupancy};
use poolgate_pool::Purpose;
use tokio::time;

use super::{
    limiter::{Admission, Limiter, Permit},
    reject::Reject,
    route_figures::Visit,
};

/// Time between two looks at the responses under way.
const LOOK: Duration = Duration::from_millis(25);
/// A response that was not seen to use a connection keeps its permit for this long, while no request is queued. It is
/// shorter than requests are queued, so that none is rejected because of it.
const ALLOWANCE: Duration = Duration::from_millis(250);
/// A client that leaves later than this has given up. One that leaves earlier has changed its mind.
const PATIENCE: Duration = Duration::from_secs(5);

/// An admitted request. However often its permit goes back and forth, it counts as completed once: when it needs the
/// permit no more, at the latest when this is dropped.
pub(super) struct Hold {
    limiter: Arc<Limiter>,
    arrival: Arrival,
    purpose: Purpose,
    visit: Visit,
    begun: Instant,
    state: Mutex<State>,
}

struct State {
    permit: Option<Permit>,
    /// It was seen to use a connection.
    connected: bool,
    answered: bool,
    completed: bool,
    failure: Option<Reject>,
}

/// What the database has to do for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// It uses a connection or waits for one.
    Connection,
    /// It used connections, and all are returned.
    NoMore,
    /// It was not seen to use a connection: it uses none, or one of another pool or in another task.
    Unknown,
}

impl Hold {
    pub(super) fn new(
        limiter: Arc<Limiter>,
        permit: Permit,
        arrival: Arrival,
        purpose: Purpose,
        visit: Visit,
    ) -> Arc<Self> {
        limiter.tally().admitted();
        let state = State { permit: Some(permit), connected: false, answered: false, completed: false, failure: None };
        Arc::new(Self { limiter, arrival, purpose, visit, begun: Instant::now(), state: Mutex::new(state) })
    }

    /// The app has answered, `after` this time since the request arrived.
    pub(super) fn answered(&self, status: StatusCode, after: Duration) {
        self.state().answered = true;
        let tally = self.limiter.tally();
        if status.is_server_error() {
            tally.server_error();
            self.visit.failed();
        } else {
            tally.succeeded();
        }
        self.visit.answered(status.is_success() || status.is_redirection(), after);
    }

    /// What the request takes connections for.
    pub(super) fn purpose(&self) -> &Purpose {
        &self.purpose
    }

    /// Notes that the request used a connection.
    pub(super) fn connected(&self) {
        self.state().connected = true;
    }

    pub(super) fn need(&self) -> Need {
        let mut state = self.state();
        if self.purpose.needs_connection() {
            state.connected = true;
            return Need::Connection;
        }
        if state.connected { Need::NoMore } else { Need::Unknown }
    }

    pub(super) fn has_permit(&self) -> bool {
        self.state().permit.is_some()
    }

    /// The app waits for the sender, which may take any time: gives the permit back unless a connection is in use.
    pub(super) fn set_aside(&self) {
        if self.need() != Need::Connection {
            drop(self.take_permit());
        }
    }

    /// The app goes on. `None`: it has a permit. Otherwise the answer to a new request for one.
    pub(super) fn resume(&self) -> Option<Admission> {
        if self.has_permit() {
            return None;
        }
        if let Some(permit) = self.limiter.resume(self.arrival) {
            self.admit(permit);
            return None;
        }
        Some(self.limiter.ask(self.arrival, Instant::now()))
    }

    /// Gives it a permit again.
    pub(super) fn admit(&self, permit: Permit) {
        let before = self.state().permit.replace(permit);
        drop(before);
    }

    /// Gives it a permit, whether one is free or not: it uses a connection, so it counts as in flight.
    pub(super) fn overdraw(&self) {
        self.admit(self.limiter.overdraw(self.arrival));
    }

    /// The request will be answered with this instead of the app's answer.
    pub(super) fn fail(&self, reject: Reject) {
        self.state().failure.get_or_insert(reject);
    }

    pub(super) fn failure(&self) -> Option<Reject> {
        self.state().failure
    }

    /// The database has nothing more to do for it: gives the permit back.
    pub(super) fn complete(&self) {
        let permit = self.take_permit();
        let is_counted = mem::replace(&mut self.state().completed, true);
        if !is_counted {
            self.limiter.tally().completed();
        }
        drop(permit);
    }

    fn take_permit(&self) -> Option<Permit> {
        self.state().permit.take()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.complete();
        if !self.state().answered && self.begun.elapsed() >= PATIENCE {
            self.limiter.tally().given_up();
            self.visit.failed();
        }
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").field("arrival", &self.arrival).field("has_permit", &self.has_permit()).finish()
    }
}

/// The responses under way that hold a permit. A task watches them as long as there are any.
#[derive(Debug)]
pub(super) struct SlowReaders {
    limiter: Arc<Limiter>,
    allowance: Duration,
    connections: AtomicU32,
    watched: Mutex<Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    responses: Vec<Response>,
    has_task: bool,
}

#[derive(Debug)]
struct Response {
    hold: Weak<Hold>,
    since: time::Instant,
}

impl SlowReaders {
    /// `timeout`: how long requests may be queued.
    pub(super) fn new(limiter: Arc<Limiter>, timeout: Duration) -> Arc<Self> {
        let allowance = ALLOWANCE.min(timeout / 2);
        Arc::new(Self { limiter, allowance, connections: AtomicU32::new(0), watched: Mutex::default() })
    }

    /// Sets how many connections of the pool are in use. That many permits may be needed even if no request was seen to
    /// use a connection.
    pub(super) fn set_connections(&self, in_use: u32) {
        self.connections.store(in_use, Relaxed);
    }

    /// Watches a response from now on.
    pub(super) fn watch(self: &Arc<Self>, hold: &Arc<Hold>) {
        let mut watched = self.watched();
        watched.responses.push(Response { hold: Arc::downgrade(hold), since: time::Instant::now() });
        if !watched.has_task {
            watched.has_task = true;
            tokio::spawn(Arc::clone(self).run());
        }
    }

    async fn run(self: Arc<Self>) {
        loop {
            time::sleep(LOOK).await;
            let free = self.take_free();
            for hold in &free {
                hold.complete();
            }
            let mut watched = self.watched();
            if watched.responses.is_empty() {
                watched.has_task = false;
                return;
            }
        }
    }

    /// Takes out the responses that need no permit, and forgets those that hold none.
    fn take_free(&self) -> Vec<Arc<Hold>> {
        let Occupancy { in_flight, queued, .. } = self.limiter.occupancy();
        let mut unseen = in_flight.saturating_sub(self.connections.load(Relaxed));
        let allowance = if queued > 0 { Duration::ZERO } else { self.allowance };
        let (mut free, now) = (Vec::new(), time::Instant::now());
        self.watched().responses.retain(|response| {
            let Some(hold) = response.hold.upgrade().filter(|hold| hold.has_permit()) else { return false };
            let is_free = match hold.need() {
                Need::Connection => false,
                Need::NoMore => true,
                Need::Unknown => unseen > 0 && now - response.since >= allowance,
            };
            if is_free {
                unseen = unseen.saturating_sub(1);
                free.push(hold);
            }
            !is_free
        });
        free
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
