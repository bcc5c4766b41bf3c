//! How a pool comes to be.

use std::fmt;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use sqlx::Database;

use crate::backend::{Backend, Care};
use crate::config::{InvalidConfig, PoolConfig};
use crate::hooks::{ConnectionTimes, Hooks};
use crate::observer::Observer;
use crate::pool::{Pool, Shared};
use crate::session::{PostgresSession, Session};

/// How to reach the database `DB`: what [`Pool::builder`] is given.
pub type ConnectOptions<DB> = <<DB as Database>::Connection as sqlx::Connection>::Options;

/// Collects what a pool needs; [`Pool::builder`] starts it.
#[must_use = "a builder does nothing until it builds"]
pub struct Builder<DB: Database> {
    options: ConnectOptions<DB>,
    config: PoolConfig,
    hooks: Hooks<DB>,
    session: Option<Arc<dyn Session<DB>>>,
    observer: Arc<dyn Observer>,
}

impl<DB: Database> Builder<DB> {
    pub(crate) fn new(options: ConnectOptions<DB>) -> Self {
        let (config, observer) = (PoolConfig::default(), Arc::new(()));
        Self { options, config, hooks: Hooks::default(), session: None, observer }
    }

    /// Sets the limits; [`PoolConfig::default`] unless called.
    pub fn config(mut self, config: PoolConfig) -> Self {
        self.config = config;
        self
    }

    /// Runs `hook` before each connect, within [`connect_timeout`](PoolConfig::connect_timeout): it is given the options
    /// and returns those to connect with, such as with a password or a token that is valid now. When it fails, the connect
    /// has failed.
    ///
    /// ```
    /// # async fn current_token() -> sqlx::Result<String> { Ok(String::new()) }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = poolgate_pool::Pool::<sqlx::Postgres>::builder("postgres://app@db/shop".parse()?)
    ///     .before_connect(|options| Box::pin(async move { Ok(options.password(&current_token().await?)) }))
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn before_connect<F>(mut self, hook: F) -> Self
    where
        F: Fn(ConnectOptions<DB>) -> BoxFuture<'static, sqlx::Result<ConnectOptions<DB>>>,
        F: Send + Sync + 'static,
    {
        self.hooks.before_connect = Some(Arc::new(hook));
        self
    }

    /// Runs `hook` on every new connection before anyone gets it, within
    /// [`connect_timeout`](PoolConfig::connect_timeout): session settings, PRAGMAs. When it fails, the connect has
    /// failed. It runs again, within [`verify_timeout`](PoolConfig::verify_timeout), on a connection whose session was
    /// [reset](PoolConfig::reset), so what it sets holds for every user. For SQLite see
    /// [`sqlite_defaults`](crate::sqlite_defaults).
    pub fn on_connect<F>(mut self, hook: F) -> Self
    where
        F: for<'c> Fn(&'c mut DB::Connection) -> BoxFuture<'c, sqlx::Result<()>>,
        F: Send + Sync + 'static,
    {
        self.hooks.on_connect = Some(Arc::new(hook));
        self
    }

    /// Runs `hook` on a connection that has been used before, when somebody is about to get it, within
    /// [`verify_timeout`](PoolConfig::verify_timeout) and the caller's own patience. `Ok(false)`, an error or no answer in
    /// time closes the connection, and the caller gets another.
    pub fn before_acquire<F>(mut self, hook: F) -> Self
    where
        F: for<'c> Fn(&'c mut DB::Connection, ConnectionTimes) -> BoxFuture<'c, sqlx::Result<bool>>,
        F: Send + Sync + 'static,
    {
        self.hooks.before_acquire = Some(Arc::new(hook));
        self
    }

    /// Runs `hook` on every connection that comes back, in the background, after it was put in order and within
    /// [`verify_timeout`](PoolConfig::verify_timeout). `Ok(false)`, an error or no answer in time closes the connection.
    pub fn after_release<F>(mut self, hook: F) -> Self
    where
        F: for<'c> Fn(&'c mut DB::Connection, ConnectionTimes) -> BoxFuture<'c, sqlx::Result<bool>>,
        F: Send + Sync + 'static,
    {
        self.hooks.after_release = Some(Arc::new(hook));
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
    pub fn build(self) -> Result<Pool<DB>, InvalidConfig>
    where
        DB: Backend,
    {
        let Self { options, config, hooks, session, observer } = self;
        config.check()?;
        let shared = Arc::new(Shared::new(options, config, hooks, session, Care::new(), observer));
        if shared.remember_runtime().is_ok() {
            shared.connect_for_waiters();
        }
        Ok(Pool::from(shared))
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
