//! What happens to connections when nobody waits for it: putting right, closing, draining.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_core::future::BoxFuture;
use sqlx::{Connection, Database, Executor};
use tokio::time::timeout;

use crate::counts::Drained;
use crate::error::AcquireError;
use crate::observer::CloseReason;
use crate::pool::Shared;
use crate::state::Pooled;

/// Rolls back whatever is open and leaves the connection as a new one is.
///
/// `BEGIN; ROLLBACK` asks and answers in one round trip, whatever was sent before: it succeeds without a trace when no
/// transaction is open, ends an open one on PostgreSQL, and fails where one is open otherwise (SQLite, or an aborted
/// one on PostgreSQL), which a plain `ROLLBACK` then ends. A plain `ROLLBACK` at once would put a warning into the
/// server's log for each connection that had nothing open.
pub(crate) fn reset<DB: Database>(connection: &mut DB::Connection) -> BoxFuture<'_, sqlx::Result<()>>
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    Box::pin(async move {
        match connection.execute("BEGIN; ROLLBACK").await {
            Err(sqlx::Error::Database(_)) => connection.execute("ROLLBACK").await?,
            other => other?,
        };
        // sqlx's own count of open transactions, which a forgotten `sqlx::Transaction` leaves too high for good.
        if connection.is_in_transaction() {
            return Err(sqlx::Error::Protocol("a transaction was left open".to_owned()));
        }
        Ok(())
    })
}

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
        let limit = self.shared.config.verify_timeout;
        let result = timeout(limit, (self.shared.reset)(&mut pooled.connection)).await;
        let Some(pooled) = self.pooled.take() else {
            return;
        };
        let now = Instant::now();
        let placement = match result {
            Ok(Ok(())) => self.shared.state().verified(pooled, now),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a connection could not be put right");
                self.shared.state().verify_failed(pooled, now)
            }
            Err(_elapsed) => self.shared.state().verify_failed(pooled, now),
        };
        self.shared.settle(placement);
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
