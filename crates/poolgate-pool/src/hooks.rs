//! What an app may do to connections at the turns of their lives.

use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use sqlx::Database;

use crate::builder::ConnectOptions;

/// A connection's times, for the hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionTimes {
    /// How long it has been open.
    pub age: Duration,
    /// How long nobody has used it.
    pub idle_for: Duration,
}

/// May change where and as whom the next connection is opened.
pub(crate) type BeforeConnect<DB> =
    dyn Fn(ConnectOptions<DB>) -> BoxFuture<'static, sqlx::Result<ConnectOptions<DB>>> + Send + Sync;

/// Runs on every new connection before anyone gets it.
pub(crate) type OnConnect<DB> =
    dyn for<'c> Fn(&'c mut <DB as Database>::Connection) -> BoxFuture<'c, sqlx::Result<()>> + Send + Sync;

/// Says whether a connection may go to its next user.
pub(crate) type Judge<DB> = dyn for<'c> Fn(&'c mut <DB as Database>::Connection, ConnectionTimes) -> BoxFuture<'c, sqlx::Result<bool>>
    + Send
    + Sync;

/// Those that a pool has.
pub(crate) struct Hooks<DB: Database> {
    pub(crate) before_connect: Option<Arc<BeforeConnect<DB>>>,
    pub(crate) on_connect: Option<Arc<OnConnect<DB>>>,
    pub(crate) before_acquire: Option<Arc<Judge<DB>>>,
    pub(crate) after_release: Option<Arc<Judge<DB>>>,
}

impl<DB: Database> Default for Hooks<DB> {
    fn default() -> Self {
        Self { before_connect: None, on_connect: None, before_acquire: None, after_release: None }
    }
}
