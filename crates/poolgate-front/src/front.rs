//! The front itself: one throttle for all tasks of a client.

use std::{
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use poolgate_throttle::{
    Backoff, Configured, InvalidConfig, News, Rejection, Request, Savings, Settings, State as ThrottleState, Submitted,
    Throttle,
};

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
        // The front itself asks for a config that the client has missed.
        let _ = self.learn(news);
    }

    /// The same, for a client that wants to know what became of the news.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] if a field is out of range; nothing has changed.
    pub fn learn(&self, news: &News) -> Result<Configured, InvalidConfig> {
        self.act(|state, now| learn(state, news, now))
    }

    /// Continues the budget that an earlier front of this client [saved](Self::savings) `age` ago. Call it before the
    /// first news. Numbers that no front can have saved change nothing.
    pub fn restore(&self, savings: &Savings, age: Duration) {
        self.act(|state, now| state.throttle.restore(savings, age, now));
    }

    /// What to store for the client's next front, at most once a second and at the end. `None`: a new client has the
    /// same budget, so delete what is stored.
    pub fn savings(&self) -> Option<Savings> {
        let now = self.now();
        self.lock().throttle.savings(now)
    }

    /// Asks to repeat a request that had no contact or was rejected. `backoff` belongs to that request, `retry_after` is
    /// what its answer [asked for](Head::retry_after). Gives the time to wait before [asking](Self::ask) again; `None`:
    /// report the failure to the app. Only a request that is idempotent and has no body may be repeated.
    pub fn retry(&self, backoff: &mut Backoff, retry_after: Option<Duration>) -> Option<Duration> {
        self.act(|state, now| state.throttle.retry(backoff, retry_after, now))
    }

    /// Pauses the client: a body that was read after [`Ticket::finish`] shows that the gate rejected the request.
    pub fn heed(&self, head: &Head) {
        self.act(|state, now| state.throttle.turned_away(head.retry_after(), head.epoch(), now));
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

    /// Has [`changed`](Self::changed) complete: something that the driver watches besides the front has changed.
    pub fn notify(&self) {
        self.act(|state, _| state.tell_driver());
    }

    /// Whether the config must be fetched now: the server has a newer one, or requests fail without contact. Reading it
    /// clears it. Tell [`hear`](Self::hear) what came of the fetch.
    pub fn config_is_due(&self) -> bool {
        std::mem::take(&mut self.lock().config_is_due)
    }

    /// Whether a header has brought newer limits than the last document. A client without an event stream fetches the
    /// document soon, which says more. Reading it clears it.
    pub fn document_is_due(&self) -> bool {
        std::mem::take(&mut self.lock().document_is_due)
    }

    /// How many requests wait. From the first call on, [`changed`](Self::changed) also completes when their number has
    /// changed.
    pub fn queued(&self) -> usize {
        self.lock().tell_queued()
    }

    /// How often level, breaker or staleness have changed. Each time [`changed`](Self::changed) completes too.
    pub fn changes(&self) -> u64 {
        self.lock().changes
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

/// As [`Front::learn`], under the lock.
pub(crate) fn learn(state: &mut State, news: &News, now: Duration) -> Result<Configured, InvalidConfig> {
    let learned = state.throttle.configure(news, now)?;
    match (learned, news) {
        (Configured::Missed, _) => state.want_config(),
        (Configured::Applied, News::Header(_)) => state.want_document(),
        (Configured::Applied, _) => state.tell_driver(),
        _ => {}
    }
    Ok(learned)
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front").field("state", &self.0.state).finish_non_exhaustive()
    }
}
