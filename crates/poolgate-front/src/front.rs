//! The front itself: one throttle for all tasks of a client.

use std::{
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use poolgate_throttle::{Configured, News, Rejection, Request, Settings, State as ThrottleState, Submitted, Throttle};

use crate::{Head, Ticket, Waiting, state::State};

/// One client's throttle, for all its tasks. Clones are handles to the same one.
#[derive(Clone)]
pub struct Front(Arc<Shared>);

struct Shared {
    clock: Box<dyn Fn() -> Duration + Send + Sync>,
    state: Mutex<State>,
}

/// What the throttle says to a request.
#[derive(Debug)]
#[must_use = "a ticket that is dropped is given back unused"]
pub enum Asked {
    /// Send it now.
    Start(Ticket),
    /// It waits in the client's queue.
    Queued(Waiting),
    /// It may not be sent.
    Rejected(Rejection),
}

impl Front {
    /// A front that has heard nothing yet, so everything passes. `clock` gives the time since any fixed moment. Fronts with
    /// equal seeds decide alike.
    pub fn new(settings: Settings, seed: u64, clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        let state = Mutex::new(State::new(Throttle::new(settings, seed)));
        Self(Arc::new(Shared { clock: Box::new(clock), state }))
    }

    /// Asks to send a request.
    pub fn ask(&self, request: Request) -> Asked {
        self.act(|state, now| match state.throttle.submit(request, now) {
            Submitted::Start(permit) => Asked::Start(Ticket::new(self.clone(), permit)),
            Submitted::Rejected(rejection) => Asked::Rejected(rejection),
            Submitted::Queued(id) => {
                state.wait(id);
                Asked::Queued(Waiting::new(self.clone(), id))
            }
        })
    }

    /// Takes in news about the config. A config that is out of range is ignored, and the last good one stays in force.
    pub fn hear(&self, news: &News) {
        self.act(|state, now| hear(state, news, now));
    }

    /// Pauses the client if `body`, which was read after [`Ticket::finish`], shows that the gate rejected the request. Not
    /// needed where `finish` had the body.
    pub fn heed(&self, head: &Head, body: &[u8]) {
        if head.is_rejection(body) {
            self.act(|state, now| state.throttle.turned_away(head.retry_after(), head.epoch(), now));
        }
    }

    /// Does what is due by now: starts and rejects requests that wait.
    pub fn poll(&self) {
        self.act(|_, _| ());
    }

    /// When the driver must call [`poll`](Self::poll) next, by the front's clock. `None`: only after a
    /// [change](Self::changed).
    pub fn next_wakeup(&self) -> Option<Duration> {
        self.lock().next_wakeup()
    }

    /// Completes when the next wake-up, the [state](Self::state) or [`config_is_due`](Self::config_is_due) may have changed
    /// since the last time. For one task, the driver.
    pub async fn changed(&self) {
        poll_fn(|context| self.lock().poll_changed(context)).await;
    }

    /// Whether the config must be fetched now: the server has a newer one, or requests fail without contact. Reading it
    /// clears it. Tell [`hear`](Self::hear) what came of the fetch.
    pub fn config_is_due(&self) -> bool {
        std::mem::take(&mut self.lock().config_is_due)
    }

    /// What is in force now.
    pub fn state(&self) -> ThrottleState {
        let now = self.now();
        self.lock().throttle.state(now)
    }

    /// The time by the front's clock.
    pub fn now(&self) -> Duration {
        (self.0.clock)()
    }

    /// Changes the state, does what is due then, and wakes the tasks that this concerns.
    pub(crate) fn act<R>(&self, change: impl FnOnce(&mut State, Duration) -> R) -> R {
        let now = self.now();
        let mut state = self.lock();
        let result = change(&mut state, now);
        let wakers = state.settle(now);
        // A waker may run a task on the spot, which needs the lock.
        drop(state);
        for waker in wakers {
            waker.wake();
        }
        result
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics under this lock.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As [`Front::hear`], under the lock.
pub(crate) fn hear(state: &mut State, news: &News, now: Duration) {
    if let Ok(Configured::Missed) = state.throttle.configure(news, now) {
        state.want_config();
    }
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front").field("state", &self.0.state).finish_non_exhaustive()
    }
}
