//! What the pool says about itself.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::error::AcquireError;
use crate::purpose::Purpose;

/// The pool at one instant, read under one lock: the figures belong together.
///
/// `checked_out + idle + connecting + closing <= capacity` always holds, except after a
/// [`resize`](crate::Pool::resize) to less than is open, until those connections have come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Connections that are kept when nobody needs them.
    pub pool_size: u32,
    /// Connections beyond `pool_size` that a burst may open.
    pub max_overflow: u32,
    /// The most connections that may exist: `pool_size + max_overflow`.
    pub capacity: u32,
    /// Connections in use.
    pub checked_out: u32,
    /// Connections ready for use.
    pub idle: u32,
    /// Connections being opened.
    pub connecting: u32,
    /// Connections that are being closed, or verified after they came back in doubt.
    pub closing: u32,
    /// Callers waiting for a connection.
    pub waiting: u32,
    /// Connections that are yet to be opened ahead of demand: for [`min_idle`](crate::PoolConfig::min_idle) and
    /// [`keep_open`](crate::Pool::keep_open). 0 when the pool is warm.
    pub lacking: u32,
    /// Raised by every [`dispose`](crate::Pool::dispose); connections of an older one are not used again.
    pub generation: u64,
    /// Raised by every [`move_to`](crate::Pool::move_to): what was learned of the database before holds no more.
    pub moves: u64,
    /// How long the connection has been in use that has been in use for longest.
    pub oldest_checkout: Option<Duration>,
}

impl Counts {
    /// Connections that exist or are about to: what the database may see of this pool.
    #[must_use]
    pub fn open(&self) -> u32 {
        self.checked_out + self.idle + self.connecting + self.closing
    }

    /// Connections beyond the core size, as QueuePool counts them (never below zero here).
    #[must_use]
    pub fn overflow(&self) -> u32 {
        self.open().saturating_sub(self.pool_size)
    }

    /// Connections that a caller could get without waiting for another caller.
    #[must_use]
    pub fn available(&self) -> u32 {
        self.capacity.saturating_sub(self.checked_out + self.connecting + self.closing)
    }
}

/// A connection in use: for how long, which line acquired it, and what for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeaseInfo {
    /// The lease's number, unique in this pool.
    pub id: u64,
    /// How long it has been held.
    pub age: Duration,
    /// The line that acquired it.
    pub place: &'static Location<'static>,
    /// What it was acquired for, where the task says so.
    pub purpose: Option<Purpose>,
    /// The connection's number, unique in this pool.
    pub connection: u64,
    /// The generation the connection belongs to.
    pub generation: u64,
    /// The server process behind the connection, where [`Builder::postgres`](crate::Builder::postgres) has asked for it.
    pub server_pid: Option<i32>,
    /// It has been [revoked](crate::Pool::revoke) and not come back.
    pub revoked: bool,
}

/// What the pool knows about the database from opening connections.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Contact {
    /// Time since the database last let somebody in, or answered a ping.
    pub answered: Option<Duration>,
    /// Time since an attempt to connect last failed.
    pub failed: Option<Duration>,
    /// Failures of one kind since the last success.
    pub consecutive_failures: u32,
    /// For how long every attempt of the pool's has failed; `None` when the newest one succeeded.
    pub failing: Option<Duration>,
    /// How long the pool makes no other attempt.
    pub retry_in: Option<Duration>,
    /// The newest failure since the last success.
    pub failure: Option<AcquireError>,
    /// The same in words.
    pub error: Option<Arc<str>>,
}

/// How a [`drain`](crate::Pool::drain) ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Leases that were still held at the deadline.
    pub leases_left: u32,
    /// Connections that still existed at the deadline, the leased ones included; 0 = drained.
    pub connections_left: u32,
    /// Idle connections that were closed at the start.
    pub idle_closed: u32,
    /// Waiting callers who were told that the pool is closed.
    pub waiting_refused: u32,
}
