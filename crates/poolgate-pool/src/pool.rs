//! The pool's handle, and what all its parts share.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use sqlx::Database;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

use crate::acquire;
use crate::backend::Care;
use crate::builder::{Builder, ConnectOptions};
use crate::config::{PoolConfig, Reset};
use crate::connect;
use crate::counts::{Contact, Counts, Drained, LeaseInfo};
use crate::error::AcquireError;
use crate::hooks::Hooks;
use crate::janitor;
use crate::lease::Lease;
use crate::observer::{CloseReason, Observer};
use crate::purpose::Taker;
use crate::session::Session;
use crate::state::{Placement, Pooled, State, Upkeep, Verdict};

/// Idle connections that are no surplus, so that the next callers need not connect.
const SPARED_IDLE: u32 = 2;

/// A pool of connections to the database `DB`. A clone is another handle to the same pool.
///
/// The [crate's first page](crate) shows how it is used and what it promises.
pub struct Pool<DB: Database> {
    shared: Arc<Shared<DB>>,
}

impl<DB: Database> Pool<DB> {
    /// Starts a pool for the database that `options` reach.
    pub fn builder(options: ConnectOptions<DB>) -> Builder<DB> {
        Builder::new(options)
    }

    /// Gets a connection: an idle one if there is, else a new one if there is room, else the next that comes back.
    /// Callers are served in the order they came. Giving up (dropping the future) costs nothing: a connect that was
    /// begun for the caller goes on and its connection serves the next.
    ///
    /// # Errors
    /// [`AcquireError`]; each variant is one cause with one remedy.
    #[track_caller]
    pub fn acquire(&self) -> impl Future<Output = Result<Lease<DB>, AcquireError>> + Send + use<DB> {
        acquire::acquire(Arc::clone(&self.shared), Taker::caller())
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

    /// What the attempts to connect say about the database.
    #[must_use]
    pub fn contact(&self) -> Contact {
        self.shared.state().backoff().contact(Instant::now())
    }

    /// The limits the pool was built with; after a [`resize`](Self::resize), [`counts`](Self::counts) has its sizes.
    #[must_use]
    pub fn config(&self) -> &PoolConfig {
        &self.shared.config
    }

    /// Replaces every connection: idle ones are closed now, in the background, and those in use when they come back.
    /// New connections take their places one by one, so there are never more than the capacity. Returns how many
    /// idle ones it closes. It does not free a busy pool; after a failover or a change of credentials
    /// [`move_to`](Self::move_to) does more.
    pub fn dispose(&self) -> u32 {
        let idle = self.shared.state().dispose();
        self.shared.close_all(idle, CloseReason::Disposed)
    }

    /// Sends all new connections to the database that `options` reach, such as the new primary after a failover, and
    /// replaces the old ones as [`dispose`](Self::dispose) does. Connects in progress begin anew there at once, whatever
    /// became of those before. Returns how many idle ones it closes. (A new address behind the same host name: move to
    /// the same options; the name is looked up for each connection.)
    pub fn move_to(&self, options: ConnectOptions<DB>) -> u32 {
        let options = Arc::new(adapted(options, self.shared.session.as_deref()));
        *self.shared.options.lock().unwrap_or_else(PoisonError::into_inner) = options;
        // Afterwards: a connect of the new generation finds the new address, and one of the old is closed.
        let idle = self.shared.state().moved();
        self.shared.moved.notify_waiters();
        self.shared.connect_for_waiters();
        self.shared.close_all(idle, CloseReason::Disposed)
    }

    /// Closes idle connections beyond two and beyond what [`min_idle`](PoolConfig::min_idle) and
    /// [`keep_open`](Self::keep_open) would open again, for the benefit of others who share the database server. Returns
    /// how many.
    pub fn close_surplus_idle(&self) -> u32 {
        let idle = self.shared.state().close_surplus_idle(SPARED_IDLE);
        self.shared.close_all(idle, CloseReason::Surplus)
    }

    /// Changes the pool's size while it works. After shrinking to less than is open, no connection is opened until
    /// enough have come back and been closed.
    ///
    /// # Errors
    /// Sizes that [`PoolConfig::check`] refuses.
    pub fn resize(&self, size: u32, max_overflow: u32) -> Result<(), crate::InvalidConfig> {
        PoolConfig { size, max_overflow, ..self.shared.config.clone() }.check()?;
        let idle = self.shared.state().resize(size, max_overflow);
        self.shared.close_all(idle, CloseReason::Surplus);
        self.shared.connect_for_waiters();
        Ok(())
    }

    /// Opens connections ahead of demand until `count` are open, those in use included, and from then on makes up for
    /// those that are closed. Never more than the pool's size; paced as every connect is. 0, the start, opens nothing
    /// beyond [`min_idle`](PoolConfig::min_idle) before a caller needs it.
    pub fn keep_open(&self, count: u32) {
        self.shared.state().keep_open(count);
        self.shared.connect_for_waiters();
    }

    /// Takes a lease away from its holder, by its number ([`LeaseInfo::id`]): its next use fails with
    /// [`Revoked`](crate::Revoked), that of a [`Transaction`](crate::Transaction) on it as well, and its connection is
    /// closed when it comes back. What is in progress goes on, and so does what uses `&mut *lease`, the sqlx connection.
    /// Returns false if the lease has come back already.
    ///
    /// A holder who never uses nor drops the lease keeps its place. To have the place now, end the session on the
    /// server ([`LeaseInfo::server_pid`], `pg_terminate_backend`) and tell [`write_off`](Self::write_off).
    pub fn revoke(&self, lease: u64) -> bool {
        let mut state = self.shared.state();
        let found = state.revoke(lease);
        self.shared.revoked.store(state.revoked(), Relaxed);
        found
    }

    /// Takes the place of a [revoked](Self::revoke) lease back although it is still held. Its session must have ended
    /// on the server, or the server has more connections of this pool than its capacity. Returns false if the lease
    /// has come back already, or was not revoked.
    pub fn write_off(&self, lease: u64) -> bool {
        let found = self.shared.state().write_off(lease);
        if found {
            self.shared.observer.closed(CloseReason::Revoked);
            self.shared.notify_if_empty();
            self.shared.connect_for_waiters();
        }
        found
    }

    /// Opens a connection outside the pool and its capacity, with the same `on_connect` hook, within `timeout`: for
    /// probes that must work when the pool is exhausted. The caller bounds how many there are, and closes them. What it
    /// meets, the pool learns: after a full server it pauses, after a success it connects for those who wait.
    ///
    /// # Errors
    /// [`AcquireError::Connect`], [`ConnectTimeout`](AcquireError::ConnectTimeout),
    /// [`LoginRefused`](AcquireError::LoginRefused) or [`ServerFull`](AcquireError::ServerFull).
    pub async fn connect_apart(&self, timeout: Duration) -> Result<DB::Connection, AcquireError> {
        connect::apart(&self.shared, timeout).await
    }

    /// Closes the pool: nobody gets a connection any more, those who wait are told so, idle connections are closed,
    /// and those in use when they come back. Waits for that until `deadline` has passed; the pool stays closed.
    pub async fn drain(&self, deadline: Duration) -> Drained {
        janitor::drain(&self.shared, deadline).await
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

/// How a waiting caller is answered.
pub(crate) type Reply<DB> = oneshot::Sender<Result<Lease<DB>, AcquireError>>;

/// What the handles, the leases and the background tasks of one pool share.
pub(crate) struct Shared<DB: Database> {
    options: Mutex<Arc<ConnectOptions<DB>>>,
    pub(crate) config: PoolConfig,
    pub(crate) hooks: Hooks<DB>,
    pub(crate) session: Option<Arc<dyn Session<DB>>>,
    pub(crate) care: Care<DB>,
    pub(crate) observer: Arc<dyn Observer>,
    /// Notified when a closed pool's last connection is gone.
    pub(crate) emptied: Notify,
    /// Notified when the pool was moved to another database.
    pub(crate) moved: Notify,
    state: Mutex<State<DB::Connection, Reply<DB>>>,
    /// As [`State::revoked`]: as long as it is zero, using a lease needs no look at the state.
    revoked: AtomicU32,
    /// Whether a task looks for idle connections that are too old.
    pub(crate) reaping: AtomicBool,
    /// The runtime of the first caller, for leases that are dropped outside any.
    runtime: OnceLock<Handle>,
}

impl<DB: Database> Shared<DB> {
    pub(crate) fn new(
        options: ConnectOptions<DB>,
        config: PoolConfig,
        hooks: Hooks<DB>,
        session: Option<Arc<dyn Session<DB>>>,
        care: Care<DB>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let state = Mutex::new(State::new(&config));
        let options = Mutex::new(Arc::new(adapted(options, session.as_deref())));
        let (emptied, moved, revoked) = (Notify::new(), Notify::new(), AtomicU32::new(0));
        let (reaping, runtime) = (AtomicBool::new(false), OnceLock::new());
        Self { options, config, hooks, session, care, observer, emptied, moved, state, revoked, reaping, runtime }
    }

    /// How to reach the database at this moment.
    pub(crate) fn options(&self) -> Arc<ConnectOptions<DB>> {
        Arc::clone(&self.options.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// No foreign code runs under this lock and it is never held across an await.
    pub(crate) fn state(&self) -> MutexGuard<'_, State<DB::Connection, Reply<DB>>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails outside a runtime, where nothing could be awaited with a time limit.
    pub(crate) fn remember_runtime(&self) -> Result<(), AcquireError> {
        if self.runtime.get().is_none() {
            let handle = Handle::try_current().map_err(|_| AcquireError::NoRuntime)?;
            self.runtime.get_or_init(|| handle);
        }
        Ok(())
    }

    /// Runs `task` in the background. Without a living runtime it is dropped at once; the guards inside it keep the
    /// books, and sockets close when they are dropped.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(handle) = Handle::try_current().ok().as_ref().or(self.runtime.get()) {
            handle.spawn(task);
        }
    }

    /// Starts the connects that those who wait need.
    pub(crate) fn connect_for_waiters(self: &Arc<Self>) {
        let start = self.state().start_connects(Instant::now());
        for _ in 0..start.connects {
            connect::spawn(self);
        }
        if let Some(at) = start.retry_at {
            connect::retry_at(self, at);
        }
    }

    /// Takes a connection back from its user.
    pub(crate) fn check_in(
        self: &Arc<Self>,
        lease: u64,
        pooled: Box<Pooled<DB::Connection>>,
        verdict: Verdict,
        now: Instant,
    ) {
        let mut state = self.state();
        let placement = state.check_in(lease, pooled, verdict, now);
        if self.revoked.load(Relaxed) != 0 {
            self.revoked.store(state.revoked(), Relaxed);
        }
        drop(state);
        self.settle(placement);
    }

    /// Whether the lease was taken away from its holder.
    pub(crate) fn is_revoked(&self, lease: u64) -> bool {
        self.revoked.load(Relaxed) != 0 && self.state().is_revoked(lease)
    }

    /// Whether a PgBouncer may give the session to others between two transactions.
    pub(crate) fn is_bounced(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.is_bounced())
    }

    /// Whether sessions are reset at all: behind a PgBouncer they are not the pool's own.
    pub(crate) fn resets(&self) -> bool {
        self.config.reset != Reset::Never && !self.is_bounced()
    }

    /// What is done for a connection that comes back, of what its use asks for.
    pub(crate) fn upkeep(&self, asked: Upkeep) -> Upkeep {
        let reset = self.resets() && (asked.reset || self.config.reset == Reset::Always);
        Upkeep { reset, ..asked }
    }

    /// Does what `placement` asks for.
    pub(crate) fn settle(self: &Arc<Self>, mut placement: Placement<DB::Connection, Reply<DB>>) {
        loop {
            match placement {
                Placement::Idle => return,
                Placement::Forget(pooled) => return drop(pooled),
                Placement::Verify(pooled) => return janitor::verify(self, pooled),
                Placement::Close(pooled, reason) => return janitor::close(self, pooled, reason),
                Placement::Serve(reply, issued) => {
                    let lease = Lease::new(Arc::clone(self), issued);
                    let Err(Ok(unwanted)) = reply.send(Ok(lease)) else {
                        return;
                    };
                    // The caller left in this moment: the next one gets it.
                    let Some((lease, pooled)) = unwanted.into_parts() else {
                        return;
                    };
                    placement = self.state().check_in(lease, pooled, Verdict::Clean, Instant::now());
                }
            }
        }
    }

    /// Closes idle connections in the background; returns how many.
    pub(crate) fn close_all(self: &Arc<Self>, idle: Vec<Box<Pooled<DB::Connection>>>, reason: CloseReason) -> u32 {
        let count = u32::try_from(idle.len()).unwrap_or(u32::MAX);
        for pooled in idle {
            janitor::close(self, pooled, reason);
        }
        count
    }
}

fn adapted<DB: Database>(options: ConnectOptions<DB>, session: Option<&dyn Session<DB>>) -> ConnectOptions<DB> {
    match session {
        Some(session) => session.adapt(options),
        None => options,
    }
}
