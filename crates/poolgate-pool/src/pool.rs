//! The pool's handle.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::Database;

use crate::acquire;
use crate::config::{ConnectOptions, InvalidPoolConfig, PoolConfig};
use crate::counts::{ConnectHistory, Counts, Drained, LeaseInfo};
use crate::dedicated;
use crate::drain;
use crate::error::AcquireError;
use crate::lease::Lease;
use crate::observer::{CloseReason, Observer};
use crate::purpose::Caller;
use crate::shared::Shared;
use crate::tasks;

/// [`Pool::close_surplus_idle`] leaves this many idle connections, so that the next callers need not connect.
const SPARED_IDLE: u32 = 2;

/// A pool of connections to the database `DB`. A clone is another handle to the same pool.
///
/// The [crate's first page](crate) shows how to use it and what it promises.
pub struct Pool<DB: Database> {
    shared: Arc<Shared<DB>>,
}

impl<DB: Database> Pool<DB> {
    /// Gets a connection: an idle one if there is one, else a new one if there is room, else the next one that is
    /// returned. Callers are served first come, first served. Dropping the future is safe at any time: a connect that was
    /// started for this caller continues and serves the next one.
    ///
    /// # Errors
    /// [`AcquireError`]; each variant is one cause with one remedy.
    #[track_caller]
    pub fn acquire(&self) -> impl Future<Output = Result<Lease<DB>, AcquireError>> + Send + use<DB> {
        acquire::acquire(Arc::clone(&self.shared), Caller::current())
    }

    /// The pool's figures at this instant.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.state().counts(Instant::now())
    }

    /// The connections in use, the oldest lease first.
    #[must_use]
    pub fn leases(&self) -> Vec<LeaseInfo> {
        self.shared.state().leases(Instant::now())
    }

    /// What the attempts to connect tell about the database.
    #[must_use]
    pub fn connect_history(&self) -> ConnectHistory {
        self.shared.state().backoff().history(Instant::now())
    }

    /// The limits the pool was built with. After a [`resize`](Self::resize), [`counts`](Self::counts) has the current
    /// sizes.
    #[must_use]
    pub fn config(&self) -> &PoolConfig {
        &self.shared.config
    }

    /// Reports to `observer` what happens in the pool from now on, in addition to the observer of
    /// [`Builder::observer`](crate::Builder::observer). There is room for one, for the life of the pool: returns false,
    /// and does not use `observer`, if one was added before.
    #[must_use = "false: the observer is not used"]
    pub fn observe(&self, observer: Arc<dyn Observer>) -> bool {
        self.shared.observers.add(observer)
    }

    /// Replaces every connection: closes the idle ones now, in the background, and those in use when they are returned.
    /// New connections take their slots one by one, so there are never more than the capacity. Returns the number of
    /// idle connections it closes. This does not free a busy pool. After a failover or a change of credentials
    /// [`set_connect_options`](Self::set_connect_options) does more.
    pub fn dispose(&self) -> u32 {
        let idle = self.shared.state().dispose();
        tasks::close_all(&self.shared, idle, CloseReason::Disposed)
    }

    /// Opens all new connections with `options`, which may lead to another server, such as the new primary after a
    /// failover. Unlike sqlx's method of this name it also replaces the existing connections, as
    /// [`dispose`](Self::dispose) does, and restarts connects in progress at once, even if earlier attempts have
    /// failed. Returns the number of idle connections it closes.
    ///
    /// The host name is looked up for each connection. If only the address behind it has changed, pass the same options.
    pub fn set_connect_options(&self, options: ConnectOptions<DB>) -> u32 {
        self.shared.set_options(options);
        // In this order: a connect of the new generation uses the new options, and one of the old generation is closed.
        let idle = self.shared.state().options_changed();
        self.shared.options_changed.notify_waiters();
        tasks::connect_for_waiters(&self.shared);
        tasks::close_all(&self.shared, idle, CloseReason::Disposed)
    }

    /// Closes idle connections beyond two, to make room for other users of the database server. Keeps those that
    /// [`min_idle`](PoolConfig::min_idle) or [`set_min_connections`](Self::set_min_connections) would open again. Returns
    /// the number of connections it closes.
    pub fn close_surplus_idle(&self) -> u32 {
        let idle = self.shared.state().close_surplus_idle(SPARED_IDLE);
        tasks::close_all(&self.shared, idle, CloseReason::Surplus)
    }

    /// Changes the pool's size while it works. After shrinking below the number of open connections, none is opened until
    /// enough have been returned and closed.
    ///
    /// # Errors
    /// Sizes that [`PoolConfig::check`] refuses.
    pub fn resize(&self, size: u32, max_overflow: u32) -> Result<(), InvalidPoolConfig> {
        PoolConfig { size, max_overflow, ..self.shared.config.clone() }.check()?;
        let idle = self.shared.state().resize(size, max_overflow);
        tasks::close_all(&self.shared, idle, CloseReason::Surplus);
        tasks::connect_for_waiters(&self.shared);
        Ok(())
    }

    /// Opens connections ahead of demand until `count` are open, including those in use, and from then on replaces those
    /// that are closed. Limited by the pool's size and paced like every connect. Default 0: opens only
    /// [`min_idle`](PoolConfig::min_idle) ahead of demand.
    pub fn set_min_connections(&self, count: u32) {
        self.shared.state().set_min_connections(count);
        tasks::connect_for_waiters(&self.shared);
    }

    /// Takes a lease away from its holder, by its number ([`LeaseInfo::id`]). Its next use fails with
    /// [`Revoked`](crate::Revoked), also through a [`Transaction`](crate::Transaction), and its connection is closed when
    /// it is returned. An operation in progress continues, and so does use of `&mut *lease`, the sqlx connection.
    /// Returns false if the lease has been returned already.
    ///
    /// A holder who neither uses nor drops the lease keeps its slot. To free the slot at once, end the session on the
    /// server ([`LeaseInfo::server_pid`], `pg_terminate_backend`) and then call [`reclaim`](Self::reclaim).
    pub fn revoke(&self, lease: u64) -> bool {
        self.shared.revoke(lease)
    }

    /// Frees the slot of a [revoked](Self::revoke) lease that is still held. End its session on the server first, or the
    /// server has more connections of this pool than its capacity. Returns false if the lease has been returned already,
    /// or was not revoked.
    pub fn reclaim(&self, lease: u64) -> bool {
        let found = self.shared.state().reclaim(lease);
        if found {
            self.slot_is_free(CloseReason::Revoked);
        }
        found
    }

    /// Ends a lease whose connection is dead: what its holder waits for fails with [`Lost`](crate::Lost), so does its next
    /// use, and its slot is free at once. Only the server can tell that it has nothing to answer, and its session must have
    /// ended, or the server has more connections of this pool than its capacity. The time of its use is not reported.
    /// Returns false if the lease has been returned already.
    pub fn lose(&self, lease: u64) -> bool {
        let found = self.shared.lose(lease, Instant::now());
        if found {
            self.slot_is_free(CloseReason::Silent);
        }
        found
    }

    /// The slot of a lease that is still held is free.
    fn slot_is_free(&self, reason: CloseReason) {
        self.shared.observers.tell(|observer| observer.closed(reason));
        self.shared.notify_if_empty();
        tasks::connect_for_waiters(&self.shared);
    }

    /// Opens a connection outside the pool and its capacity, with the same `after_connect` hook, within `timeout`: for
    /// probes that must work when the pool is exhausted. The caller limits how many there are, and closes them. The pool
    /// uses the result: it pauses after a full server, and connects for waiting callers after a success.
    ///
    /// # Errors
    /// [`AcquireError::Connect`], [`ConnectTimeout`](AcquireError::ConnectTimeout),
    /// [`LoginRefused`](AcquireError::LoginRefused) or [`ServerFull`](AcquireError::ServerFull).
    pub async fn dedicated_connection(&self, timeout: Duration) -> Result<DB::Connection, AcquireError> {
        dedicated::connect(&self.shared, timeout).await
    }

    /// Closes the pool for good: refuses new and waiting callers, closes idle connections, and closes those in use when
    /// they are returned. Waits for that until all are closed, for `timeout` at most.
    pub async fn drain(&self, timeout: Duration) -> Drained {
        drain::drain(&self.shared, timeout).await
    }

    /// Whether [`drain`](Self::drain) has been called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.state().is_closed()
    }
}

impl<DB: Database> From<Arc<Shared<DB>>> for Pool<DB> {
    fn from(shared: Arc<Shared<DB>>) -> Self {
        Self { shared }
    }
}

impl<DB: Database> Clone for Pool<DB> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<DB: Database> fmt::Debug for Pool<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("counts", &self.counts()).finish_non_exhaustive()
    }
}
