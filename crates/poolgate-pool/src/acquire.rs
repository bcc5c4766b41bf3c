//! How a caller gets a connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::Database;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::error::AcquireError;
use crate::lease::{Lease, PingError};
use crate::observer::CloseReason;
use crate::purpose::Caller;
use crate::shared::{Answer, Shared};
use crate::tasks;

/// After this many dead idle connections a caller closes the others and asks for a new one.
const MAX_DEAD: u32 = 2;

pub(crate) async fn acquire<DB: Database>(shared: Arc<Shared<DB>>, caller: Caller) -> Result<Lease<DB>, AcquireError> {
    shared.remember_runtime()?;
    let started = Instant::now();
    let (mut now, mut dead) = (started, 0);
    loop {
        let found = find(&shared, &caller, now)?;
        let is_immediate = matches!(found, Found::Lease(_)) && shared.hooks.before_acquire.is_none();
        let lease = match found {
            Found::Lease(lease) => Some(lease),
            Found::Suspect(lease) => {
                let left = time_left(&shared, started);
                if left.is_zero() {
                    return Err(timed_out(&shared, &caller, started));
                }
                let lease = pinged(&shared, lease, left).await;
                if lease.is_none() {
                    dead += 1;
                    if dead >= MAX_DEAD {
                        close_idle(&shared);
                    }
                }
                lease
            }
            Found::Queue(queued) => {
                tasks::connect_for_waiters(&shared);
                Some(queued.wait(&caller, started).await?)
            }
        };
        if let Some(lease) = lease
            && let Some(mut lease) = admitted(&shared, lease, started).await
        {
            lease.accept();
            // Reading the clock is a large part of the cost of a hot acquire.
            let waited = if is_immediate { now - started } else { started.elapsed() };
            shared.observers.tell(|observer| observer.acquired(waited));
            return Ok(lease);
        }
        now = Instant::now();
    }
}

enum Found<DB: Database> {
    Lease(Lease<DB>),
    /// It was idle for long, or other connections were found dead since its last use.
    Suspect(Lease<DB>),
    /// No connection is idle.
    Queue(Queued<DB>),
}

fn find<DB: Database>(shared: &Arc<Shared<DB>>, caller: &Caller, now: Instant) -> Result<Found<DB>, AcquireError> {
    let mut state = shared.state();
    let found = state.check_out(caller, now)?;
    let Some((issued, suspect)) = found.issued else {
        let (reply, answer) = oneshot::channel();
        let ticket = state.wait(caller.clone(), now, || reply);
        drop(state);
        tasks::close_all(shared, found.expired, CloseReason::Recycled);
        return Ok(Found::Queue(Queued { shared: Arc::clone(shared), ticket: ticket?, answer }));
    };
    let is_short = state.is_short();
    drop(state);
    if is_short {
        tasks::connect_for_waiters(shared);
    }
    tasks::close_all(shared, found.expired, CloseReason::Recycled);
    let lease = Lease::new(Arc::clone(shared), issued);
    Ok(if suspect { Found::Suspect(lease) } else { Found::Lease(lease) })
}

async fn pinged<DB: Database>(shared: &Arc<Shared<DB>>, mut lease: Lease<DB>, left: Duration) -> Option<Lease<DB>> {
    let error = match lease.ping(shared.config.verify_timeout.min(left)).await {
        Ok(()) => return Some(lease),
        Err(error) => error,
    };
    tracing::debug!(%error, "an idle connection did not answer");
    lease.discard_as(CloseReason::Silent);
    drop(lease);
    // A refusal takes no time, so the others may be pinged one by one; each silent one would cost the caller a second.
    if matches!(error, PingError::Silence) {
        close_idle(shared);
    }
    None
}

fn close_idle<DB: Database>(shared: &Arc<Shared<DB>>) {
    let idle = shared.state().close_idle(0);
    tasks::close_all(shared, idle, CloseReason::Silent);
}

/// The lease, if the app's `before_acquire` hook accepts its connection.
async fn admitted<DB: Database>(shared: &Shared<DB>, mut lease: Lease<DB>, started: Instant) -> Option<Lease<DB>> {
    let Some(before_acquire) = &shared.hooks.before_acquire else { return Some(lease) };
    if !lease.is_used() {
        return Some(lease);
    }
    let limit = shared.config.verify_timeout.min(time_left(shared, started));
    // If the caller leaves while the hook runs, the hook's result is unknown.
    lease.discard_as(CloseReason::Rejected);
    let (connection, metadata) = lease.for_hook();
    match timeout(limit, before_acquire(connection, metadata)).await {
        Ok(Ok(true)) => {
            lease.keep();
            return Some(lease);
        }
        Ok(Ok(false)) | Err(_) => {}
        Ok(Err(error)) => tracing::debug!(%error, "the hook before an acquire failed"),
    }
    None
}

/// A place in the queue. When dropped it leaves the queue, and returns a connection that has just been sent to it.
struct Queued<DB: Database> {
    shared: Arc<Shared<DB>>,
    ticket: u64,
    answer: oneshot::Receiver<Answer<DB>>,
}

impl<DB: Database> Queued<DB> {
    async fn wait(mut self, caller: &Caller, started: Instant) -> Result<Lease<DB>, AcquireError> {
        let answer = match timeout(time_left(&self.shared, started), &mut self.answer).await {
            Ok(answer) => answer.unwrap_or(Err(AcquireError::Closed)),
            Err(_elapsed) => match self.leave() {
                Some(answer) => answer,
                None => return Err(timed_out(&self.shared, caller, started)),
            },
        };
        answer.map(|issued| Lease::new(Arc::clone(&self.shared), issued))
    }

    /// Leaves the queue; returns the answer if it was sent already.
    fn leave(&mut self) -> Option<Answer<DB>> {
        self.shared.state().leave(self.ticket);
        // From here on nothing can be sent.
        self.answer.close();
        self.answer.try_recv().ok()
    }
}

impl<DB: Database> Drop for Queued<DB> {
    fn drop(&mut self) {
        if let Some(Ok(issued)) = self.leave() {
            drop(Lease::new(Arc::clone(&self.shared), issued));
        }
    }
}

fn time_left<DB: Database>(shared: &Shared<DB>, started: Instant) -> Duration {
    shared.config.acquire_timeout.saturating_sub(started.elapsed())
}

fn timed_out<DB: Database>(shared: &Shared<DB>, caller: &Caller, started: Instant) -> AcquireError {
    let waited = started.elapsed();
    shared.observers.tell(|observer| observer.timed_out(waited));
    AcquireError::Timeout(Box::new(shared.state().diagnose(caller, waited, Instant::now())))
}
