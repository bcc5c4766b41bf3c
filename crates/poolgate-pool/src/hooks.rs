//! The app's hooks: what it may do to connections at certain points of their lives.

use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use sqlx::Database;

use crate::config::ConnectOptions;

/// A connection's age and idle time, for the hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionMetadata {
    /// Time since it was opened.
    pub age: Duration,
    /// Time since its last use.
    pub idle_for: Duration,
}

pub(crate) type BeforeConnect<DB> =
    dyn Fn(ConnectOptions<DB>) -> BoxFuture<'static, sqlx::Result<ConnectOptions<DB>>> + Send + Sync;

pub(crate) type AfterConnect<DB> =
    dyn for<'c> Fn(&'c mut <DB as Database>::Connection) -> BoxFuture<'c, sqlx::Result<()>> + Send + Sync;

/// Decides whether a connection stays in the pool.
pub(crate) type Judge<DB> = dyn for<'c> Fn(&'c mut <DB as Database>::Connection, ConnectionMetadata) -> BoxFuture<'c, sqlx::Result<bool>>
    + Send
    + Sync;

/// The hooks of one pool.
pub(crate) struct Hooks<DB: Database> {
    pub(crate) before_connect: Option<Arc<BeforeConnect<DB>>>,
    pub(crate) after_connect: Option<Arc<AfterConnect<DB>>>,
    pub(crate) before_acquire: Option<Arc<Judge<DB>>>,
    pub(crate) after_release: Option<Arc<Judge<DB>>>,
}

impl<DB: Database> Default for Hooks<DB> {
    fn default() -> Self {
        Self { before_connect: None, after_connect: None, before_acquire: None, after_release: None }
    }
}
