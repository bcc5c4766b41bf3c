//! What the handles, the leases and the background tasks of one pool share: the configuration, and the state behind its
//! lock.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use sqlx::Database;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

use crate::config::{ConnectOptions, PoolConfig, Reset};
use crate::database::Session;
use crate::database::reset::Repairs;
use crate::error::AcquireError;
use crate::hooks::Hooks;
use crate::observer::Observers;
use crate::purpose::Caller;
use crate::state::{Issued, Placement, Pooled, State, Upkeep, Verdict};

/// The answer to a waiting caller.
pub(crate) type Answer<DB> = Result<Issued<<DB as Database>::Connection>, AcquireError>;

/// How a waiting caller is answered. A caller who leaves returns what it was sent.
pub(crate) type Reply<DB> = oneshot::Sender<Answer<DB>>;

pub(crate) struct Shared<DB: Database> {
    options: Mutex<Arc<ConnectOptions<DB>>>,
    pub(crate) config: PoolConfig,
    pub(crate) hooks: Hooks<DB>,
    pub(crate) session: Option<Arc<dyn Session<DB>>>,
    pub(crate) repairs: Repairs<DB>,
    pub(crate) observers: Observers,
    /// Notified when the last connection of a closed pool is gone.
    pub(crate) emptied: Notify,
    /// Notified when the connect options were replaced.
    pub(crate) options_changed: Notify,
    state: Mutex<State<DB::Connection, Reply<DB>>>,
    /// Same as [`State::revoked`]: while it is zero, using a lease needs no look at the state.
    revoked: AtomicU32,
    /// Whether a task closes idle connections that are too old.
    pub(crate) reaping: AtomicBool,
    /// The first caller's runtime, for leases that are dropped outside a runtime.
    runtime: OnceLock<Handle>,
}

impl<DB: Database> Shared<DB> {
    pub(crate) fn new(
        options: ConnectOptions<DB>,
        config: PoolConfig,
        hooks: Hooks<DB>,
        session: Option<Arc<dyn Session<DB>>>,
        repairs: Repairs<DB>,
        observers: Observers,
    ) -> Self {
        let options = adapted(options, session.as_deref());
        Self {
            options: Mutex::new(Arc::new(options)),
            state: Mutex::new(State::new(&config)),
            config,
            hooks,
            session,
            repairs,
            observers,
            emptied: Notify::new(),
            options_changed: Notify::new(),
            revoked: AtomicU32::new(0),
            reaping: AtomicBool::new(false),
            runtime: OnceLock::new(),
        }
    }

    /// How to reach the database at present.
    pub(crate) fn options(&self) -> Arc<ConnectOptions<DB>> {
        Arc::clone(&self.options.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_options(&self, options: ConnectOptions<DB>) {
        let options = Arc::new(adapted(options, self.session.as_deref()));
        *self.options.lock().unwrap_or_else(PoisonError::into_inner) = options;
    }

    /// Never run foreign code under this lock, and never hold it across an await.
    pub(crate) fn state(&self) -> MutexGuard<'_, State<DB::Connection, Reply<DB>>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails outside a runtime, where no wait could have a time limit.
    pub(crate) fn remember_runtime(&self) -> Result<(), AcquireError> {
        if self.runtime.get().is_none() {
            let handle = Handle::try_current().map_err(|_| AcquireError::NoRuntime)?;
            self.runtime.get_or_init(|| handle);
        }
        Ok(())
    }

    /// Runs `task` in the background. Without a living runtime the task is dropped at once: guards inside it update the
    /// state, and dropping a connection closes its socket.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(handle) = Handle::try_current().ok().as_ref().or(self.runtime.get()) {
            handle.spawn(task);
        }
    }

    /// Ends a lease; the connection is to be placed as the state says. Also returns who had it.
    pub(crate) fn end_lease(
        &self,
        lease: u64,
        pooled: Box<Pooled<DB::Connection>>,
        verdict: Verdict,
        now: Instant,
    ) -> (Placement<DB::Connection, Reply<DB>>, Option<Caller>) {
        let mut state = self.state();
        let ended = state.check_in(lease, pooled, verdict, now);
        if self.revoked.load(Relaxed) != 0 {
            self.revoked.store(state.revoked(), Relaxed);
        }
        ended
    }

    pub(crate) fn revoke(&self, lease: u64) -> bool {
        let mut state = self.state();
        let found = state.revoke(lease);
        self.revoked.store(state.revoked(), Relaxed);
        found
    }

    pub(crate) fn lose(&self, lease: u64, now: Instant) -> bool {
        let mut state = self.state();
        let wait = state.lose(lease, now);
        self.revoked.store(state.revoked(), Relaxed);
        drop(state);
        // It wakes the holder, which is foreign code.
        wait.map(|wait| wait.lose()).is_some()
    }

    pub(crate) fn is_revoked(&self, lease: u64) -> bool {
        self.revoked.load(Relaxed) != 0 && self.state().is_revoked(lease)
    }

    /// Whether a PgBouncer may give the session to another client between two transactions.
    pub(crate) fn is_behind_pgbouncer(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.is_behind_pgbouncer())
    }

    /// Whether sessions are reset at all: behind a PgBouncer they do not belong to the pool.
    pub(crate) fn resets(&self) -> bool {
        self.config.reset != Reset::Never && !self.is_behind_pgbouncer()
    }

    /// The part of `requested` that this pool does for a returned connection.
    pub(crate) fn upkeep(&self, requested: Upkeep) -> Upkeep {
        let reset = self.resets() && (requested.reset || self.config.reset == Reset::Always);
        Upkeep { reset, ..requested }
    }

    /// Wakes the task that drains the pool once no connection is left.
    pub(crate) fn notify_if_empty(&self) {
        let state = self.state();
        let empty = state.is_closed() && state.open() == 0;
        drop(state);
        if empty {
            self.emptied.notify_waiters();
        }
    }
}

fn adapted<DB: Database>(options: ConnectOptions<DB>, session: Option<&dyn Session<DB>>) -> ConnectOptions<DB> {
    match session {
        Some(session) => session.adapt(options),
        None => options,
    }
}
