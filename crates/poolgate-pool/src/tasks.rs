//! The background tasks: opening, verifying and closing connections. The end of each may start the next, so all of them
//! are here. A guard in each task gives the connection's slot back, however the task ends.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use sqlx::{Connection, Database};
use tokio::time::{sleep, sleep_until, timeout};

use crate::connect::{self, Attempt, Established};
use crate::database::reset::Restored;
use crate::error::AcquireError;
use crate::observer::CloseReason;
use crate::purpose::Caller;
use crate::random::random;
use crate::restore::{self, Outcome};
use crate::shared::{Reply, Shared};
use crate::state::{Opened, Placement, Pooled, Verdict};

/// Bounds of the time between two searches for idle connections that are too old.
const SHORTEST_REAPING: Duration = Duration::from_secs(1);
const LONGEST_REAPING: Duration = Duration::from_secs(55);
/// An idle connection is closed this long after its age limit, so that a caller may find it first, as with QueuePool.
const EXPIRY_GRACE: Duration = Duration::from_secs(5);

/// Starts the connects that waiting callers, or the minimum of open connections, need.
pub(crate) fn connect_for_waiters<DB: Database>(shared: &Arc<Shared<DB>>) {
    let start = shared.state().start_connects(Instant::now());
    for _ in 0..start.connects {
        open(shared);
    }
    if let Some(at) = start.retry_at {
        retry_at(shared, at);
    }
}

/// Takes a connection back from its user. Returns who that was.
pub(crate) fn check_in<DB: Database>(
    shared: &Arc<Shared<DB>>,
    lease: u64,
    pooled: Box<Pooled<DB::Connection>>,
    verdict: Verdict,
    now: Instant,
) -> Option<Caller> {
    let (placement, caller) = shared.end_lease(lease, pooled, verdict, now);
    settle(shared, placement);
    caller
}

/// Closes idle connections in the background; returns how many.
pub(crate) fn close_all<DB: Database>(
    shared: &Arc<Shared<DB>>,
    idle: Vec<Box<Pooled<DB::Connection>>>,
    reason: CloseReason,
) -> u32 {
    let count = u32::try_from(idle.len()).unwrap_or(u32::MAX);
    for pooled in idle {
        close(shared, pooled, reason);
    }
    count
}

/// Does what `placement` asks for.
fn settle<DB: Database>(shared: &Arc<Shared<DB>>, mut placement: Placement<DB::Connection, Reply<DB>>) {
    loop {
        match placement {
            Placement::Idle => return,
            Placement::Forget(pooled) => return drop(pooled),
            Placement::Verify(pooled) => return verify(shared, pooled),
            Placement::Close(pooled, reason) => return close(shared, pooled, reason),
            Placement::Serve(reply, issued) => {
                // The caller may have just left; then the next one gets the connection.
                let Err(Ok(unwanted)) = reply.send(Ok(issued)) else { return };
                (placement, _) = shared.end_lease(unwanted.lease, unwanted.pooled, Verdict::Clean, Instant::now());
            }
        }
    }
}

/// Opens one connection that the state counts as connecting.
fn open<DB: Database>(shared: &Arc<Shared<DB>>) {
    // The guard is made here and not in the task: a task that never runs must give its slot back too.
    let opening = Opening { shared: Arc::clone(shared), open: true };
    shared.spawn(async move {
        let limit = opening.shared.config.connect_timeout;
        let Attempt { generation, options_generation, started, result } =
            connect::attempt(&opening.shared, limit).await;
        match result {
            Ok(established) => {
                opening.shared.observers.tell(|observer| observer.created(started.elapsed()));
                opening.succeed(established, generation);
            }
            Err(error) => opening.fail(&error, options_generation),
        }
    });
}

/// Connects again at `at`, after the pause that follows a failed connect.
fn retry_at<DB: Database>(shared: &Arc<Shared<DB>>, at: Instant) {
    let planned = Retry { shared: Arc::downgrade(shared), at };
    shared.spawn(async move {
        sleep_until(at.into()).await;
        let shared = planned.shared.upgrade();
        drop(planned);
        if let Some(shared) = shared {
            connect_for_waiters(&shared);
        }
    });
}

/// Repairs a doubtful connection in the background, or closes it.
fn verify<DB: Database>(shared: &Arc<Shared<DB>>, pooled: Box<Pooled<DB::Connection>>) {
    let verifying = Verifying { shared: Arc::clone(shared), pooled: Some(pooled) };
    shared.spawn(verifying.run());
}

/// Closes a connection in the background. Its slot is free when the socket is closed, or dropped after `close_timeout`.
fn close<DB: Database>(shared: &Arc<Shared<DB>>, pooled: Box<Pooled<DB::Connection>>, reason: CloseReason) {
    tracing::debug!(connection = pooled.id, reason = reason.as_str(), "closing a connection");
    shared.observers.tell(|observer| observer.closed(reason));
    let closing = Closing { shared: Arc::clone(shared) };
    shared.spawn(async move {
        let limit = closing.shared.config.close_timeout;
        // On timeout the connection is dropped, which closes the socket at once.
        match timeout(limit, pooled.connection.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a connection closed with an error"),
            Err(_elapsed) => tracing::warn!("a connection did not close in time and was dropped"),
        }
        drop(closing);
    });
}

/// Makes sure that a task closes idle connections that have reached their age limit; it ends with the pool.
fn close_expired<DB: Database>(shared: &Arc<Shared<DB>>, max_lifetime: Duration) {
    if shared.reaping.swap(true, Relaxed) {
        return;
    }
    let reaper = Reaper { shared: Arc::downgrade(shared) };
    let pause = (max_lifetime / 8).clamp(SHORTEST_REAPING, LONGEST_REAPING);
    shared.spawn(async move {
        loop {
            sleep(pause).await;
            let Some(shared) = reaper.shared.upgrade() else { return };
            let Some(long_ago) = Instant::now().checked_sub(EXPIRY_GRACE) else { continue };
            let expired = shared.state().take_expired(long_ago);
            close_all(&shared, expired, CloseReason::Recycled);
        }
    });
}

/// The slot of a connection that is being opened.
struct Opening<DB: Database> {
    shared: Arc<Shared<DB>>,
    open: bool,
}

impl<DB: Database> Opening<DB> {
    fn succeed(mut self, established: Established<DB>, generation: u64) {
        self.open = false;
        let shared = &self.shared;
        let Established { connection, server_pid, read_only } = established;
        let now = Instant::now();
        let lifetime = shared.config.max_lifetime.map(|age| age.mul_f64(1.0 - 0.25 * random()));
        let expires = lifetime.and_then(|age| now.checked_add(age));
        if let Some(age) = shared.config.max_lifetime {
            close_expired(shared, age);
        }
        if read_only == Some(false) {
            let demoted = shared.state().found_writable();
            close_all(shared, demoted, CloseReason::ReadOnly);
        }
        let read_only = read_only.unwrap_or(false);
        let opened = Opened { connection, generation, expires, server_pid, read_only };
        let placement = shared.state().connected(opened, now);
        settle(shared, placement);
        connect_for_waiters(shared);
    }

    fn fail(mut self, error: &AcquireError, options_generation: u64) {
        self.open = false;
        tracing::debug!(%error, "a connection could not be opened");
        self.shared.observers.tell(|observer| observer.connect_failed(error));
        self.report(error, options_generation);
        connect_for_waiters(&self.shared);
    }

    fn report(&self, error: &AcquireError, options_generation: u64) {
        let told = self.shared.state().connect_failed(error, options_generation, Instant::now(), random());
        for reply in told {
            // A caller that has just left needs no answer.
            let _ = reply.send(Err(error.clone()));
        }
        self.shared.notify_if_empty();
    }
}

impl<DB: Database> Drop for Opening<DB> {
    /// The task panicked in a driver or ended with its runtime. Starts no other connect: it might end the same way.
    fn drop(&mut self) {
        if self.open {
            let ended = sqlx::Error::Protocol("the connecting task ended early".to_owned());
            let options_generation = self.shared.state().options_generation();
            self.report(&AcquireError::from_connect(ended), options_generation);
        }
    }
}

/// A planned retry. It is forgotten when its task ends for any reason, and does not keep the pool alive.
struct Retry<DB: Database> {
    shared: Weak<Shared<DB>>,
    at: Instant,
}

impl<DB: Database> Drop for Retry<DB> {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.state().retry_due(self.at);
        }
    }
}

/// The slot of a connection that is being verified.
struct Verifying<DB: Database> {
    shared: Arc<Shared<DB>>,
    pooled: Option<Box<Pooled<DB::Connection>>>,
}

impl<DB: Database> Verifying<DB> {
    async fn run(mut self) {
        let Some(pooled) = &mut self.pooled else { return };
        let outcome = restore::restore(&self.shared, pooled).await;
        let Some(pooled) = self.pooled.take() else { return };
        let now = Instant::now();
        let mut state = self.shared.state();
        let placement = match outcome {
            Outcome::Restored(Restored::Clean) => state.verified(pooled, now),
            Outcome::Restored(Restored::ReadOnly) => state.found_read_only(pooled, now),
            Outcome::Restored(Restored::Unfit) => state.replace(pooled),
            Outcome::Rejected => state.verify_rejected(pooled, CloseReason::Rejected),
            Outcome::Failed => state.verify_failed(pooled, now),
        };
        drop(state);
        settle(&self.shared, placement);
    }
}

impl<DB: Database> Drop for Verifying<DB> {
    fn drop(&mut self) {
        if self.pooled.take().is_some() {
            self.shared.state().verify_abandoned();
            self.shared.notify_if_empty();
            connect_for_waiters(&self.shared);
        }
    }
}

/// The slot of a connection that is being closed.
struct Closing<DB: Database> {
    shared: Arc<Shared<DB>>,
}

impl<DB: Database> Drop for Closing<DB> {
    fn drop(&mut self) {
        self.shared.state().close_ended();
        self.shared.notify_if_empty();
        connect_for_waiters(&self.shared);
    }
}

/// Lets another reaper start when this one's task ends, for example with its runtime.
struct Reaper<DB: Database> {
    shared: Weak<Shared<DB>>,
}

impl<DB: Database> Drop for Reaper<DB> {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.reaping.store(false, Relaxed);
        }
    }
}
