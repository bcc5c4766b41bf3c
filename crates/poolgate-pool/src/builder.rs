//! How a pool comes to be.

use std::fmt;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use sqlx::{Database, Executor};

use crate::config::{InvalidConfig, PoolConfig};
use crate::janitor;
use crate::observer::Observer;
use crate::pool::{PoolgatePool, Shared};
use crate::session::{PostgresSession, Session};

/// How to reach the database `DB`: what [`PoolgatePool::builder`] is given.
pub type ConnectOptions<DB> = <<DB as Database>::Connection as sqlx::Connection>::Options;

/// Runs on every new connection before anyone gets it.
pub(crate) type OnConnect<DB> =
    dyn for<'c> Fn(&'c mut <DB as Database>::Connection) -> BoxFuture<'c, sqlx::Result<()>> + Send + Sync;

/// Collects what a pool needs; [`PoolgatePool::builder`] starts it.
#[must_use = "a builder does nothing until it builds"]
pub struct Builder<DB: Database> {
    options: ConnectOptions<DB>,
    config: PoolConfig,
    on_connect: Option<Arc<OnConnect<DB>>>,
    session: Option<Arc<dyn Session<DB>>>,
    observer: Arc<dyn Observer>,
}

impl<DB: Database> Builder<DB> {
    pub(crate) fn new(options: ConnectOptions<DB>) -> Self {
        let (config, observer) = (PoolConfig::default(), Arc::new(()));
        Self { options, config, on_connect: None, session: None, observer }
    }

    /// Sets the limits; [`PoolConfig::default`] unless called.
    pub fn config(mut self, config: PoolConfig) -> Self {
        self.config = config;
        self
    }

    /// Runs `hook` on every new connection before anyone gets it, within
    /// [`connect_timeout`](PoolConfig::connect_timeout): session settings, PRAGMAs. When it fails, the connect has
    /// failed. For SQLite see [`sqlite_defaults`](crate::sqlite_defaults).
    pub fn on_connect<F>(mut self, hook: F) -> Self
    where
        F: for<'c> Fn(&'c mut DB::Connection) -> BoxFuture<'c, sqlx::Result<()>>,
        F: Send + Sync + 'static,
    {
        self.on_connect = Some(Arc::new(hook));
        self
    }

    /// Tells `observer` what happens in the pool; nobody is told unless called.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Makes the pool, and begins to open [`min_idle`](PoolConfig::min_idle) connections in the background. Without a
    /// tokio runtime it does so when someone acquires; until then none is needed.
    ///
    /// # Errors
    /// A limit that cannot work.
    pub fn build(self) -> Result<PoolgatePool<DB>, InvalidConfig>
    where
        for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    {
        let Self { options, config, on_connect, session, observer } = self;
        config.check()?;
        let shared = Shared::new(options, config, on_connect, session, janitor::reset::<DB>, observer);
        let shared = Arc::new(shared);
        if shared.remember_runtime().is_ok() {
            shared.connect_for_waiters();
        }
        Ok(PoolgatePool::from(shared))
    }
}

impl Builder<sqlx::Postgres> {
    /// Tells the server who its sessions belong to and how long they may wait; asks which process serves each, for
    /// [`LeaseInfo::server_pid`](crate::LeaseInfo::server_pid). That takes one round trip more to connect.
    pub fn postgres(mut self, session: PostgresSession) -> Self {
        self.session = Some(Arc::new(session));
        self
    }
}

impl Builder<sqlx::Any> {
    /// The same for a pool of [`sqlx::Any`]; it leaves other databases alone.
    pub fn postgres(mut self, session: PostgresSession) -> Self {
        self.session = Some(Arc::new(session));
        self
    }
}

impl<DB: Database> fmt::Debug for Builder<DB> {
    // The connect options are left out: their own Debug shows the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("config", &self.config).finish_non_exhaustive()
    }
}
