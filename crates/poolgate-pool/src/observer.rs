//! What others may watch: the moments of a connection's life, as they happen.

use std::time::Duration;

use crate::error::AcquireError;
use crate::work::Work;

/// Is told of what happens in the pool. Calls come from the task where it happens, outside the pool's
/// lock, and must return at once: record, do not work.
pub trait Observer: Send + Sync + 'static {
    /// A caller got a connection after waiting this long; called in the caller's own task.
    fn acquired(&self, wait: Duration) {
        let _ = wait;
    }
    /// A connection came back after being in use this long.
    fn released(&self, use_time: Duration) {
        let _ = use_time;
    }
    /// A connection came back, and its user's statements have met this.
    fn worked(&self, work: Work) {
        let _ = work;
    }
    /// A connection was opened, which took this long.
    fn created(&self, duration: Duration) {
        let _ = duration;
    }
    /// A caller gave up after waiting this long; called in the caller's own task.
    fn timed_out(&self, wait: Duration) {
        let _ = wait;
    }
    /// A connection could not be opened.
    fn connect_failed(&self, error: &AcquireError) {
        let _ = error;
    }
    /// A connection is about to be closed.
    fn closed(&self, reason: CloseReason) {
        let _ = reason;
    }
}

/// Watches nothing.
impl Observer for () {}

/// Why a connection was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// Enough idle connections were there already: the end of a burst, a cleanup or a smaller pool.
    Surplus,
    /// It had reached its age limit.
    Recycled,
    /// The pool was disposed of, and it was opened before.
    Disposed,
    /// It came back in doubt (a query cut short, a transaction left open) and could not be put right in time; or its user
    /// left something in it that only a new connection is free of.
    Dirty,
    /// It failed while in use, or its user discarded it.
    Broken,
    /// It did not answer a ping after lying idle.
    Silent,
    /// It led to a server that takes no writes any more.
    ReadOnly,
    /// Its session kept to a schema that has changed.
    Stale,
    /// A hook of the app did not want it.
    Rejected,
    /// Its lease was revoked.
    Revoked,
    /// The pool is closed.
    PoolClosed,
}

impl CloseReason {
    /// All reasons, for those who count each.
    pub const ALL: [Self; 11] = [
        Self::Surplus,
        Self::Recycled,
        Self::Disposed,
        Self::Dirty,
        Self::Broken,
        Self::Silent,
        Self::ReadOnly,
        Self::Stale,
        Self::Rejected,
        Self::Revoked,
        Self::PoolClosed,
    ];

    /// The reason as a label value: snake case, stable.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Surplus => "surplus",
            Self::Recycled => "recycled",
            Self::Disposed => "disposed",
            Self::Dirty => "dirty",
            Self::Broken => "broken",
            Self::Silent => "silent",
            Self::ReadOnly => "read_only",
            Self::Stale => "stale",
            Self::Rejected => "rejected",
            Self::Revoked => "revoked",
            Self::PoolClosed => "pool_closed",
        }
    }
}
