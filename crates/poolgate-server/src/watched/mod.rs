//! What the server watches: a pool in this process, or one elsewhere.
//!
//! | source | in use, idle, capacity | waiting | how long they waited | demand |
//! |---|---|---|---|---|
//! | [`Pool`](poolgate_pool::Pool) | exact | exact | each caller | passes the gate |
//! | [`sqlx::Pool`] | in use includes connecting | unknown | unknown | passes the gate |
//! | [`PgBouncer`] | exact, per pool | exact | the one that waits longest | shown: what arrives, what waits |
//! | [`PostgresServer`] | what its sessions do | unknown | unknown | unknown |

mod apart;
mod figures;
mod own;
mod pgbouncer;
mod postgres;
mod reader;
mod sqlx_pool;

use std::{error::Error, fmt, time::Duration};

use futures_core::future::BoxFuture;
use jiff::Timestamp;
use poolgate_pool::{Contact, Counts, Drained, LeaseInfo};
use poolgate_types::Backend;

use self::apart::Apart;
pub(crate) use self::reader::is_answer;
pub use self::{
    apart::{ApartConnection, SupportedDatabase},
    figures::Figures,
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
    /// The kind of database, where the type tells.
    fn backend(&self) -> Option<Backend>;
    /// The newest figures.
    fn figures(&self) -> Figures;
    /// What the attempts to reach the database say about it.
    fn contact(&self) -> Contact;
    /// Opens a connection outside the pool and its capacity.
    fn connect_apart(&self, timeout: Duration) -> BoxFuture<'_, Result<Box<dyn ApartConnection>, BoxError>>;
    /// Closes the pool and waits until its connections are closed, or `deadline` has passed.
    fn drain(&self, deadline: Duration) -> BoxFuture<'_, Drained>;

    /// Reads the figures anew, which is a sign of life as well; within bounded time, at the source's own pace however
    /// often it is called. `None` where they are always current: then the database is asked on a connection apart.
    fn refresh(&self) -> Option<BoxFuture<'_, ()>> {
        None
    }

    /// Which requests for the pool can be seen, and so what the fair rate can be based on.
    fn visibility(&self) -> Visibility {
        Visibility::Gated
    }

    /// What it should show and does not, if anything.
    fn blind_spot(&self) -> Option<BlindSpot> {
        None
    }

    /// Whether it is paused on purpose, so that requests wait until it is resumed.
    fn is_paused(&self) -> bool {
        false
    }

    /// What can be done about its connections; `None` where they are not ours to close.
    fn upkeep(&self) -> Option<&dyn Upkeep> {
        None
    }
}

/// Cleaning up a pool, and changing its size.
pub trait Upkeep: Send + Sync {
    /// The pool's figures at this instant, all of them known.
    fn counts(&self) -> Counts;
    /// The connections in use, the oldest lease first.
    fn leases(&self) -> Vec<LeaseInfo>;
    /// Closes idle connections beyond the configured minimum; returns how many.
    fn close_surplus_idle(&self) -> u32;
    /// Takes a lease away from its holder, who learns it at the next use; false if it has come back.
    fn revoke(&self, lease: u64) -> bool;
    /// Takes the place of a revoked lease back whose session has ended on the server.
    fn write_off(&self, lease: u64) -> bool;
    /// Replaces every connection, those in use when they come back; returns how many idle ones were closed.
    fn dispose(&self) -> u32;
    /// Changes the pool's size while it works; false: that size is not possible.
    fn resize(&self, size: u32, max_overflow: u32) -> bool;
    /// Has so many connections opened ahead of demand, up to the pool's size.
    fn keep_open(&self, count: u32);
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

/// Requests that do not pass this server's gate, as a source shows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests being served now.
    pub in_use: u32,
    /// Requests that wait now.
    pub waiting: u32,
    /// How long the oldest of them has waited.
    pub oldest_wait: Duration,
    /// Requests that came since watching began.
    pub arrivals: u64,
    /// Requests served since watching began: those that came, less by how much those at work and waiting have grown.
    pub completed: u64,
}

/// Something that a source should show and does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlindSpot {
    /// What is missing, and what to do about it.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
}
