//! What happens to connections when nobody waits for it: putting right, closing, draining.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use sqlx::{Connection, Database};
use tokio::time::{sleep, timeout};

use crate::connect;
use crate::counts::Drained;
use crate::error::AcquireError;
use crate::observer::CloseReason;
use crate::pool::{Reply, Shared};
use crate::reset::Restored;
use crate::state::{Placement, Pooled};

/// How often idle connections are looked at for their age.
const SHORTEST_REAPING: Duration = Duration::from_secs(1);
const LONGEST_REAPING: Duration = Duration::from_secs(55);
/// Time after its age in which a caller may find an idle connection first, as with QueuePool.
const EXPIRY_GRACE: Duration = Duration::from_secs(5);

/// Puts a doubtful connection right in the background, or closes it.
pub(crate) fn verify<DB: Database>(shared: &Arc<Shared<DB>>, pooled: Box<Pooled<DB::Connection>>) {
    let verifying = Verifying { shared: Arc::clone(shared), pooled: Some(pooled) };
    shared.spawn(verifying.run());
}

/// Closes a connection in the background; its place is free when the socket is closed or has been abandoned.
pub(crate) fn close<DB: Database>(shared: &Arc<Shared<DB>>, pooled: Box<Pooled<DB::Connection>>, reason: CloseReason) {
    tracing::debug!(connection = pooled.id, reason = reason.as_str(), "closing a connection");
    shared.observer.closed(reason);
    let closing = Closing { shared: Arc::clone(shared) };
    shared.spawn(async move {
        let limit = closing.shared.config.close_timeout;
        // Dropping the connection on timeout closes the socket without ceremony.
        match timeout(limit, pooled.connection.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a connection closed with an error"),
            Err(_elapsed) => tracing::warn!("a connection did not close in time and was dropped"),
        }
        drop(closing);
    });
}

/// Keeps a task that closes idle connections which have reached their age; it ends with the pool.
pub(crate) fn close_expired<DB: Database>(shared: &Arc<Shared<DB>>, max_lifetime: Duration) {
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
            shared.close_all(expired, CloseReason::Recycled);
        }
    });
}

/// Makes room for another one when its task ends, such as with its runtime.
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

/// Closes the pool and waits, for so long at most, until its connections are gone.
pub(crate) async fn drain<DB: Database>(shared: &Arc<Shared<DB>>, deadline: Duration) -> Drained {
    let (waiting, idle) = shared.state().shut();
    let waiting_refused = u32::try_from(waiting.len()).unwrap_or(u32::MAX);
    for reply in waiting {
        let _ = reply.send(Err(AcquireError::Closed));
    }
    let idle_closed = shared.close_all(idle, CloseReason::PoolClosed);

    let emptied = async {
        loop {
            // Registered before the look, so that no notice is missed between the two.
            let notified = shared.emptied.notified();
            if shared.state().open() == 0 {
                return;
            }
            notified.await;
        }
    };
    // At the deadline the figures say what is left.
    let _ = timeout(deadline, emptied).await;
    let state = shared.state();
    Drained {
        leases_left: state.counts(Instant::now()).checked_out,
        connections_left: state.open(),
        idle_closed,
        waiting_refused,
    }
}

impl<DB: Database> Shared<DB> {
    /// Tells who drains the pool that it is empty.
    pub(crate) fn notify_if_empty(&self) {
        let state = self.state();
        let empty = state.is_closed() && state.open() == 0;
        drop(state);
        if empty {
            self.emptied.notify_waiters();
        }
    }
}

/// The place of a connection that is being verified.
struct Verifying<DB: Database> {
    shared: Arc<Shared<DB>>,
    pooled: Option<Box<Pooled<DB::Connection>>>,
}

impl<DB: Database> Verifying<DB> {
    async fn run(mut self) {
        let Some(pooled) = &mut self.pooled else {
            return;
        };
        let found = put_right(&self.shared, pooled).await;
        let Some(pooled) = self.pooled.take() else {
            return;
        };
        let placement = place(&self.shared, pooled, found);
        self.shared.settle(placement);
    }
}

/// How a connection that came back was found.
#[derive(Debug, Clone, Copy)]
enum Found {
    Restored(Restored),
    Failed,
    /// The app's own hook will not have it.
    Rejected,
}

async fn put_right<DB: Database>(shared: &Shared<DB>, pooled: &mut Pooled<DB::Connection>) -> Found {
    let limit = shared.config.verify_timeout;
    let restored = match timeout(limit, restored(shared, pooled)).await {
        Ok(Ok(restored)) => restored,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a connection could not be put right");
            return Found::Failed;
        }
        Err(_elapsed) => return Found::Failed,
    };
    if let (Some(after_release), Restored::Well) = (&shared.hooks.after_release, restored) {
        let times = pooled.times(Instant::now());
        match timeout(limit, after_release(&mut pooled.connection, times)).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return Found::Rejected,
            Ok(Err(error)) => {
                tracing::debug!(%error, "the hook after a release failed");
                return Found::Rejected;
            }
            Err(_elapsed) => return Found::Rejected,
        }
    }
    Found::Restored(restored)
}

async fn restored<DB: Database>(shared: &Shared<DB>, pooled: &mut Pooled<DB::Connection>) -> sqlx::Result<Restored> {
    let upkeep = std::mem::take(&mut pooled.upkeep);
    let restored = (shared.care.restore)(&mut pooled.connection, upkeep).await?;
    if upkeep.reset && restored != Restored::Unfit {
        connect::prepare(shared, &mut pooled.connection).await?;
    }
    Ok(restored)
}

fn place<DB: Database>(
    shared: &Shared<DB>,
    pooled: Box<Pooled<DB::Connection>>,
    found: Found,
) -> Placement<DB::Connection, Reply<DB>> {
    let now = Instant::now();
    let mut state = shared.state();
    match found {
        Found::Restored(Restored::Well) => state.verified(pooled, now),
        Found::Restored(Restored::ReadOnly) => state.found_read_only(pooled, now),
        Found::Restored(Restored::Unfit) => state.replace(pooled),
        Found::Rejected => state.verify_rejected(pooled, CloseReason::Rejected),
        Found::Failed => state.verify_failed(pooled, now),
    }
}

impl<DB: Database> Drop for Verifying<DB> {
    fn drop(&mut self) {
        if self.pooled.take().is_some() {
            self.shared.state().verify_abandoned();
            self.shared.notify_if_empty();
            self.shared.connect_for_waiters();
        }
    }
}

/// The place of a connection that is being closed.
struct Closing<DB: Database> {
    shared: Arc<Shared<DB>>,
}

impl<DB: Database> Drop for Closing<DB> {
    fn drop(&mut self) {
        self.shared.state().close_ended();
        self.shared.notify_if_empty();
        self.shared.connect_for_waiters();
    }
}
