//! How a caller gets a connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::Database;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::error::AcquireError;
use crate::lease::{Lease, PingError};
use crate::observer::CloseReason;
use crate::pool::Shared;
use crate::purpose::Taker;

/// Idle connections that a caller finds dead before it asks for a new one.
const MAX_DEAD: u32 = 2;

type Answer<DB> = Result<Lease<DB>, AcquireError>;

pub(crate) async fn acquire<DB: Database>(shared: Arc<Shared<DB>>, taker: Taker) -> Answer<DB> {
    shared.remember_runtime()?;
    let started = Instant::now();
    let (mut now, mut dead) = (started, 0);
    loop {
        match find(&shared, &taker, now)? {
            Found::Lease(lease) => {
                if let Some(lease) = admitted(&shared, lease, started).await {
                    return Ok(acquired(&shared, lease, started));
                }
                now = Instant::now();
            }
            Found::Suspect(lease) => {
                let left = shared.config.timeout.saturating_sub(started.elapsed());
                if left.is_zero() {
                    return Err(timed_out(&shared, &taker, started));
                }
                match pinged(&shared, lease, left).await {
                    Some(lease) => {
                        if let Some(lease) = admitted(&shared, lease, started).await {
                            return Ok(acquired(&shared, lease, started));
                        }
                    }
                    None => dead += 1,
                }
                now = Instant::now();
                if dead >= MAX_DEAD {
                    let idle = shared.state().close_idle(0);
                    shared.close_all(idle, CloseReason::Silent);
                }
            }
            Found::Queue(place_in_queue, answer) => {
                shared.connect_for_waiters();
                let left = shared.config.timeout.saturating_sub(started.elapsed());
                let lease = wait(place_in_queue, answer, &taker, left, started).await?;
                if let Some(lease) = admitted(&shared, lease, started).await {
                    return Ok(acquired(&shared, lease, started));
                }
                now = Instant::now();
            }
        }
    }
}

/// The lease, if the app's own hook wants its connection.
async fn admitted<DB: Database>(shared: &Shared<DB>, mut lease: Lease<DB>, started: Instant) -> Option<Lease<DB>> {
    let Some(before_acquire) = &shared.hooks.before_acquire else { return Some(lease) };
    if !lease.is_used() {
        return Some(lease);
    }
    let left = shared.config.timeout.saturating_sub(started.elapsed());
    // Should the caller leave in the middle of it, nobody knows how it went.
    lease.discard_as(CloseReason::Rejected);
    let (connection, times) = lease.judged();
    match timeout(shared.config.verify_timeout.min(left), before_acquire(connection, times)).await {
        Ok(Ok(true)) => {
            lease.keep();
            return Some(lease);
        }
        Ok(Ok(false)) | Err(_) => {}
        Ok(Err(error)) => tracing::debug!(%error, "the hook before an acquire failed"),
    }
    None
}

enum Found<DB: Database> {
    Lease(Lease<DB>),
    /// It lay idle for long, or others like it were found dead.
    Suspect(Lease<DB>),
    /// Nothing idle: a place in the queue, and where the answer will come.
    Queue(Queued<DB>, oneshot::Receiver<Answer<DB>>),
}

fn find<DB: Database>(shared: &Arc<Shared<DB>>, taker: &Taker, now: Instant) -> Result<Found<DB>, AcquireError> {
    let mut state = shared.state();
    let found = state.check_out(taker, now)?;
    let Some((issued, suspect)) = found.issued else {
        let (reply, answer) = oneshot::channel();
        let ticket = state.wait(taker.clone(), now, || reply);
        drop(state);
        shared.close_all(found.expired, CloseReason::Recycled);
        return Ok(Found::Queue(Queued { shared: Arc::clone(shared), ticket: ticket? }, answer));
    };
    let is_short = state.is_short();
    drop(state);
    if is_short {
        shared.connect_for_waiters();
    }
    shared.close_all(found.expired, CloseReason::Recycled);
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
    // A refusal takes no time, so the others may be asked one by one; silence would cost each caller a second.
    if matches!(error, PingError::Silence) {
        let idle = shared.state().close_idle(0);
        shared.close_all(idle, CloseReason::Silent);
    }
    None
}

async fn wait<DB: Database>(
    queued: Queued<DB>,
    mut answer: oneshot::Receiver<Answer<DB>>,
    taker: &Taker,
    left: Duration,
    started: Instant,
) -> Answer<DB> {
    match timeout(left, &mut answer).await {
        Ok(answer) => answer.unwrap_or(Err(AcquireError::Closed)),
        Err(_elapsed) => {
            // An answer may be on its way in this very moment.
            answer.close();
            answer.try_recv().unwrap_or_else(|_| {
                queued.shared.state().leave(queued.ticket);
                Err(timed_out(&queued.shared, taker, started))
            })
        }
    }
}

/// A place in the queue, given up when dropped.
struct Queued<DB: Database> {
    shared: Arc<Shared<DB>>,
    ticket: u64,
}

impl<DB: Database> Drop for Queued<DB> {
    fn drop(&mut self) {
        self.shared.state().leave(self.ticket);
    }
}

fn acquired<DB: Database>(shared: &Shared<DB>, mut lease: Lease<DB>, started: Instant) -> Lease<DB> {
    lease.accept();
    shared.observer.acquired(started.elapsed());
    lease
}

fn timed_out<DB: Database>(shared: &Shared<DB>, taker: &Taker, started: Instant) -> AcquireError {
    let waited = started.elapsed();
    shared.observer.timed_out(waited);
    AcquireError::Timeout(Box::new(shared.state().diagnose(taker, waited, Instant::now())))
}
