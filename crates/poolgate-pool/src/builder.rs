//! Building a pool.

use std::fmt;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use sqlx::Database;

use crate::config::{ConnectOptions, InvalidPoolConfig, PoolConfig};
use crate::database::reset::Repairs;
use crate::database::{Backend, PostgresSession, Session};
use crate::hooks::{ConnectionMetadata, Hooks};
use crate::observer::{Observer, Observers};
use crate::pool::Pool;
use crate::shared::Shared;
use crate::tasks;

/// Collects the settings of a pool; see [`Pool::builder`].
#[must_use = "a builder does nothing until `build`"]
pub struct Builder<DB: Database> {
    options: ConnectOptions<DB>,
    config: PoolConfig,
    hooks: Hooks<DB>,
    session: Option<Arc<dyn Session<DB>>>,
    observer: Arc<dyn Observer>,
}

impl<DB: Database> Pool<DB> {
    /// Starts to build a pool that connects with `options`.
    pub fn builder(options: ConnectOptions<DB>) -> Builder<DB> {
        let (config, observer) = (PoolConfig::default(), Arc::new(()));
        Builder { options, config, hooks: Hooks::default(), session: None, observer }
    }
}

impl<DB: Database> Builder<DB> {
    /// Sets the limits. Default: [`PoolConfig::default`].
    pub fn config(mut self, config: PoolConfig) -> Self {
        self.config = config;
        self
    }

    /// Runs `hook` before each connect, within [`connect_timeout`](PoolConfig::connect_timeout). It gets the options and
    /// returns those to connect with, for example with a password or token that is valid now. If it fails, the connect
    /// fails.
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

    /// Runs `hook` on every new connection before its first user gets it, within
    /// [`connect_timeout`](PoolConfig::connect_timeout): session settings, PRAGMAs. If it fails, the connect fails. It
    /// runs again, within [`verify_timeout`](PoolConfig::verify_timeout), on a connection whose session was
    /// [reset](PoolConfig::reset), so its settings hold for every user. For SQLite see
    /// [`sqlite_defaults`](crate::sqlite_defaults).
    pub fn after_connect<F>(mut self, hook: F) -> Self
    where
        F: for<'c> Fn(&'c mut DB::Connection) -> BoxFuture<'c, sqlx::Result<()>>,
        F: Send + Sync + 'static,
    {
        self.hooks.after_connect = Some(Arc::new(hook));
        self
    }

    /// Runs `hook` on a connection that has been used before, when the next caller is about to get it, within
    /// [`verify_timeout`](PoolConfig::verify_timeout) and the caller's own time limit. `Ok(false)`, an error or a timeout
    /// closes the connection, and the caller gets another.
    pub fn before_acquire<F>(mut self, hook: F) -> Self
    where
        F: for<'c> Fn(&'c mut DB::Connection, ConnectionMetadata) -> BoxFuture<'c, sqlx::Result<bool>>,
        F: Send + Sync + 'static,
    {
        self.hooks.before_acquire = Some(Arc::new(hook));
        self
    }

    /// Runs `hook` on every connection that is returned, in the background, after it was restored and within
    /// [`verify_timeout`](PoolConfig::verify_timeout). `Ok(false)`, an error or a timeout closes the connection.
    pub fn after_release<F>(mut self, hook: F) -> Self
    where
        F: for<'c> Fn(&'c mut DB::Connection, ConnectionMetadata) -> BoxFuture<'c, sqlx::Result<bool>>,
        F: Send + Sync + 'static,
    {
        self.hooks.after_release = Some(Arc::new(hook));
        self
    }

    /// Reports to `observer` what happens in the pool. One more can be added later: [`Pool::observe`]. Default: none.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Makes the pool and starts to open [`min_idle`](PoolConfig::min_idle) connections in the background; outside a
    /// tokio runtime they are opened at the first [`acquire`](Pool::acquire).
    ///
    /// # Errors
    /// A limit that is out of range.
    pub fn build(self) -> Result<Pool<DB>, InvalidPoolConfig>
    where
        DB: Backend,
    {
        let Self { options, config, hooks, session, observer } = self;
        config.check()?;
        let observers = Observers::new(observer);
        let shared = Arc::new(Shared::new(options, config, hooks, session, Repairs::new(), observers));
        if shared.remember_runtime().is_ok() {
            tasks::connect_for_waiters(&shared);
        }
        Ok(Pool::from(shared))
    }
}

impl Builder<sqlx::Postgres> {
    /// Names the sessions on the server and sets the server's own timeouts. Also asks which server process serves each
    /// connection, for [`LeaseInfo::server_pid`](crate::LeaseInfo::server_pid). This adds one round trip to each connect.
    pub fn postgres(mut self, session: PostgresSession) -> Self {
        self.session = Some(Arc::new(session));
        self
    }
}

impl Builder<sqlx::Any> {
    /// The same for a pool of [`sqlx::Any`]. It has no effect on other databases.
    pub fn postgres(mut self, session: PostgresSession) -> Self {
        self.session = Some(Arc::new(session));
        self
    }
}

impl<DB: Database> fmt::Debug for Builder<DB> {
    // Without the connect options: their own Debug shows the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("config", &self.config).finish_non_exhaustive()
    }
}
