//! The watched sources: a pool in this process, or one elsewhere.
//!
//! | source | in use, idle, capacity | callers waiting | their wait times | demand |
//! |---|---|---|---|---|
//! | [`Pool`](poolgate_pool::Pool) | exact | exact | of each caller | passes the gate |
//! | [`sqlx::Pool`] | in use includes connecting | unknown | unknown | passes the gate |
//! | [`PgBouncer`] | exact, per pool | exact | of the oldest waiting client | shown: arriving and waiting requests |
//! | [`HaProxy`] | requests in progress, servers' limits | exact, requests | their mean | shown: arriving and queued requests |
//! | [`AppMetrics`] | as the app shows them | if the app shows them | unknown | unknown |
//! | [`PostgresServer`] | busy and idle sessions | unknown | unknown | unknown |

mod dedicated;
mod figures;
mod haproxy;
mod metrics;
mod own;
mod pgbouncer;
mod postgres;
mod reader;
mod record;
mod sqlx_pool;

use std::{error::Error, fmt, sync::Arc, time::Duration};

use futures_core::future::BoxFuture;
use jiff::Timestamp;
use poolgate_pool::{ConnectHistory, Counts, Drained, LeaseInfo, Observer};
use poolgate_types::Backend;

use self::dedicated::Dedicated;
pub(crate) use self::reader::is_answer;
pub use self::{
    dedicated::{DedicatedConnection, SupportedDatabase},
    figures::Figures,
    haproxy::HaProxy,
    metrics::AppMetrics,
    pgbouncer::PgBouncer,
    postgres::PostgresServer,
};

/// Why a connection could not be opened.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A source of figures that can be watched.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no pool that Poolgate can watch",
    label = "not a `WatchedPool`",
    note = "Poolgate watches `poolgate_pool::Pool`, `PgBouncer`, `PostgresServer`, and `sqlx::Pool` of sqlx 0.9",
    note = "a `sqlx::Pool` of another version is another type: `cargo tree -i sqlx` shows which versions the app has"
)]
pub trait WatchedPool: fmt::Debug + Send + Sync + 'static {
    /// The kind of database, if the type determines it.
    fn backend(&self) -> Option<Backend>;
    /// The newest figures.
    fn figures(&self) -> Figures;
    /// How recent attempts to reach the database went.
    fn connect_history(&self) -> ConnectHistory;
    /// Opens a connection outside the pool and its capacity, within `timeout`. By default an error: what is watched says
    /// nothing of how its database is reached.
    fn dedicated_connection(&self, timeout: Duration) -> BoxFuture<'_, Result<Box<dyn DedicatedConnection>, BoxError>> {
        let _ = timeout;
        Box::pin(async { Err("Poolgate does not connect to the database behind this source".into()) })
    }

    /// Closes the pool and waits until its connections are closed, for `timeout` at most. By default there is no pool to
    /// close.
    fn drain(&self, timeout: Duration) -> BoxFuture<'_, Drained> {
        let _ = timeout;
        Box::pin(async { Drained::default() })
    }

    /// Reports waits, uses and connects to `observer` from now on. False if the pool cannot, or reports to another one
    /// already; then `observer` is not used.
    fn observe(&self, observer: Arc<dyn Observer>) -> bool {
        let _ = observer;
        false
    }

    /// Reads new figures, which also shows that the source is alive. Takes bounded time, and reads no more often than the
    /// source's own interval, however often it is called. `None` if the figures are always current; the database is then
    /// probed on a dedicated connection.
    fn refresh(&self) -> Option<BoxFuture<'_, ()>> {
        None
    }

    /// Which requests for the pool can be seen, and so what the fair rate can be based on.
    fn visibility(&self) -> Visibility {
        Visibility::Gated
    }

    /// Whether an app stands between the gate and these connections, and decides which requests use one. The gate's permits
    /// are then learned from the figures.
    fn is_behind_app(&self) -> bool {
        false
    }

    /// A figure that the source should show and does not, if any.
    fn blind_spot(&self) -> Option<BlindSpot> {
        None
    }

    /// Whether the source is paused on purpose. Requests then wait until it is resumed.
    fn is_paused(&self) -> bool {
        false
    }

    /// Control of its connections; `None` if they belong to another process or pool.
    fn upkeep(&self) -> Option<&dyn Upkeep> {
        None
    }
}

/// Cleaning up and resizing a pool.
pub trait Upkeep: Send + Sync {
    /// The pool's exact figures at this instant.
    fn counts(&self) -> Counts;
    /// The connections in use, the oldest lease first.
    fn leases(&self) -> Vec<LeaseInfo>;
    /// Closes surplus idle connections; returns how many.
    fn close_surplus_idle(&self) -> u32;
    /// Revokes a lease: its next use fails. False if it was returned already.
    fn revoke(&self, lease: u64) -> bool;
    /// Frees the slot of a revoked lease whose session has ended on the server.
    fn reclaim(&self, lease: u64) -> bool;
    /// Ends a lease whose connection is dead and whose session has ended on the server. False if it was returned already.
    fn lose(&self, lease: u64) -> bool;
    /// Replaces every connection, those in use when they are returned; returns how many idle ones it closes.
    fn dispose(&self) -> u32;
    /// Changes the pool's size while it works; false if the size is out of range.
    fn resize(&self, size: u32, max_overflow: u32) -> bool;
    /// Keeps at least `count` connections open, up to the pool's size.
    fn set_min_connections(&self, count: u32);
}

/// Which requests for a pool can be seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Visibility {
    /// All of them: they pass this server's gate, which counts them.
    Gated,
    /// They bypass the gate, but the source shows them; `None` while it has not been read or cannot be.
    Shown(Option<Traffic>),
    /// They bypass the gate, and it is unknown how many wait, so only the fixed policy can act.
    Hidden,
}

impl Visibility {
    /// Whether the number of arriving requests is known now.
    pub(crate) fn is_known(&self) -> bool {
        matches!(self, Self::Gated | Self::Shown(Some(_)))
    }
}

/// Requests that bypass this server's gate, as a source shows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests in progress now.
    pub in_use: u32,
    /// Requests waiting now.
    pub waiting: u32,
    /// Wait time of the oldest waiting request.
    pub oldest_wait: Duration,
    /// Requests that have arrived since watching began.
    pub arrivals: u64,
    /// Requests served since watching began: arrivals minus those rejected and the growth of requests in progress and
    /// waiting.
    pub completed: u64,
    /// Requests rejected since watching began; 0 for a source that rejects none.
    pub rejected: u64,
}

/// A figure that a source should show and does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlindSpot {
    /// What is missing, and what to do about it.
    pub message: String,
    /// Since when it has been missing.
    pub since: Timestamp,
}
