//! What a pool reports about itself.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::error::AcquireError;
use crate::purpose::Purpose;

/// The pool at one instant. All figures are read under one lock, so they are consistent.
///
/// `checked_out + idle + connecting + closing <= capacity` always holds, except after a
/// [`resize`](crate::Pool::resize) below the number of open connections, until enough have been returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Connections that are kept open when they are idle.
    pub pool_size: u32,
    /// Connections beyond `pool_size` that may be opened under load.
    pub max_overflow: u32,
    /// The most connections that may exist: `pool_size + max_overflow`.
    pub capacity: u32,
    /// Connections in use.
    pub checked_out: u32,
    /// Connections ready for use.
    pub idle: u32,
    /// Connections being opened.
    pub connecting: u32,
    /// Connections being closed, or being verified after they were returned in doubt.
    pub closing: u32,
    /// Callers waiting for a connection.
    pub waiting: u32,
    /// Connections that are still to be opened ahead of demand, for [`min_idle`](crate::PoolConfig::min_idle) and
    /// [`set_min_connections`](crate::Pool::set_min_connections). 0 when the pool is warm.
    pub lacking: u32,
    /// Counts calls of [`dispose`](crate::Pool::dispose), also within
    /// [`set_connect_options`](crate::Pool::set_connect_options). Connections of an older generation are not used again.
    pub generation: u64,
    /// Counts calls of [`set_connect_options`](crate::Pool::set_connect_options). Anything learned about the database under
    /// an older one no longer holds.
    pub options_generation: u64,
    /// Age of the oldest checkout; `None` if no connection is in use.
    pub oldest_checkout: Option<Duration>,
}

impl Counts {
    /// Connections that exist or are being opened: as many as the database may see of this pool.
    #[must_use]
    pub fn open(&self) -> u32 {
        self.checked_out + self.idle + self.connecting + self.closing
    }

    /// Open connections beyond `pool_size`; 0 if there are fewer.
    #[must_use]
    pub fn overflow(&self) -> u32 {
        self.open().saturating_sub(self.pool_size)
    }

    /// Connections that callers could get without waiting for one to be returned.
    #[must_use]
    pub fn available(&self) -> u32 {
        self.capacity.saturating_sub(self.checked_out + self.connecting + self.closing)
    }
}

/// A connection in use: since when, from which line of code, and for what.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeaseInfo {
    /// The lease's number, unique in this pool.
    pub id: u64,
    /// Time since it was acquired.
    pub age: Duration,
    /// The line of code that acquired it.
    pub location: &'static Location<'static>,
    /// What it was acquired for, if the task has a [`Purpose`].
    pub purpose: Option<Purpose>,
    /// The connection's number, unique in this pool.
    pub connection: u64,
    /// The generation the connection belongs to.
    pub generation: u64,
    /// The server process that serves the connection, if [`Builder::postgres`](crate::Builder::postgres) looked it up.
    pub server_pid: Option<i32>,
    /// How long its holder has waited for an answer of the database; `None` while it does not wait. A query through
    /// `&mut *lease`, the sqlx connection, does not show.
    pub waits: Option<Duration>,
    /// It was [revoked](crate::Pool::revoke) and has not been returned.
    pub revoked: bool,
}

/// How recent attempts to connect to the database went.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ConnectHistory {
    /// Time since the last successful connect or ping.
    pub answered: Option<Duration>,
    /// Time since the last failed connect.
    pub failed: Option<Duration>,
    /// Failed connects since the last success.
    pub consecutive_failures: u32,
    /// Time since the first failure after the last success; `None` if the newest connect succeeded.
    pub failing: Option<Duration>,
    /// Time until the pool connects again, during the pause after a failure.
    pub retry_in: Option<Duration>,
    /// The newest failure since the last success.
    pub failure: Option<AcquireError>,
    /// The message of `failure`.
    pub error: Option<Arc<str>>,
}

/// How a [`drain`](crate::Pool::drain) ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Leases that were still held at the end.
    pub leases_left: u32,
    /// Connections that still existed at the end, including those in use; 0 if the pool is drained.
    pub connections_left: u32,
    /// Idle connections that were closed at the start.
    pub idle_closed: u32,
    /// Waiting callers that were refused.
    pub waiting_refused: u32,
}
