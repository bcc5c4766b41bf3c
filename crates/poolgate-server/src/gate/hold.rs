//! A request's permit from the moment it is let in: held while the database feels the request, given back meanwhile.

use std::{
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use poolgate_control::gate::Arrival;
use poolgate_pool::Purpose;

use super::{
    limiter::{Admission, Limiter},
    permit::Permit,
    reject::Reject,
};

/// A request that was let in. However often its permit goes back and forth, it counts as completed once: when its permit
/// is not needed any more, or at the latest when this is dropped.
pub(super) struct Hold {
    limiter: Arc<Limiter>,
    arrival: Arrival,
    purpose: Purpose,
    state: Mutex<State>,
}

struct State {
    permit: Option<Permit>,
    /// It was seen to use a connection.
    connected: bool,
    completed: bool,
    failure: Option<Reject>,
}

/// What the database has to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// A connection is in use for it, or waited for.
    Connection,
    /// It used connections, and all are back.
    NoMore,
    /// None was seen: it uses none, or one of another pool or task.
    Unknown,
}

impl Hold {
    pub(super) fn new(limiter: Arc<Limiter>, permit: Permit, arrival: Arrival, purpose: Purpose) -> Arc<Self> {
        limiter.tally().admitted();
        let state = State { permit: Some(permit), connected: false, completed: false, failure: None };
        Arc::new(Self { limiter, arrival, purpose, state: Mutex::new(state) })
    }

    /// What the request's connections are taken for.
    pub(super) fn purpose(&self) -> &Purpose {
        &self.purpose
    }

    /// A connection was used for it.
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

    /// The app waits for the request's sender, which may take as long as it likes: the permit goes back, unless a
    /// connection is in use.
    pub(super) fn set_aside(&self) {
        if self.need() != Need::Connection {
            drop(self.take_permit());
        }
    }

    /// The app goes on. Without a permit it has to ask for one again.
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

    /// It has a permit again.
    pub(super) fn admit(&self, permit: Permit) {
        let before = self.state().permit.replace(permit);
        drop(before);
    }

    /// It uses a connection: it counts as in flight, whether a permit is free or not.
    pub(super) fn overdraw(&self) {
        self.admit(self.limiter.overdraw(self.arrival));
    }

    /// It cannot go on, whatever the app makes of it.
    pub(super) fn fail(&self, reject: Reject) {
        self.state().failure.get_or_insert(reject);
    }

    pub(super) fn failure(&self) -> Option<Reject> {
        self.state().failure
    }

    /// The database has nothing to do for it any more: the permit goes back.
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
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").field("arrival", &self.arrival).field("has_permit", &self.has_permit()).finish()
    }
}
