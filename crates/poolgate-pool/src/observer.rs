//! Reports of what happens in a pool, as it happens.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::error::AcquireError;
use crate::purpose::Purpose;
use crate::work::Work;

/// Receives reports of what happens in a pool. Calls come from the task where it happens, outside the pool's lock. They
/// must return at once: record, and do no work.
pub trait Observer: Send + Sync + 'static {
    /// A caller got a connection after waiting this long. Called in the caller's own task.
    fn acquired(&self, wait: Duration) {
        let _ = wait;
    }
    /// A connection was returned after being in use this long, for this purpose if the caller's task had one.
    fn released(&self, use_time: Duration, purpose: Option<&Purpose>) {
        let _ = (use_time, purpose);
    }
    /// A connection was returned, and its user's statements ended like this.
    fn worked(&self, work: Work) {
        let _ = work;
    }
    /// A connection was opened, which took this long.
    fn created(&self, duration: Duration) {
        let _ = duration;
    }
    /// A caller's wait timed out after this long. Called in the caller's own task.
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

/// Ignores every report.
impl Observer for () {}

/// The observers of one pool: that of the builder, and at most one that is added later.
pub(crate) struct Observers {
    first: Arc<dyn Observer>,
    added: OnceLock<Arc<dyn Observer>>,
}

impl Observers {
    pub(crate) fn new(first: Arc<dyn Observer>) -> Self {
        Self { first, added: OnceLock::new() }
    }

    /// False: one was added before.
    pub(crate) fn add(&self, observer: Arc<dyn Observer>) -> bool {
        self.added.set(observer).is_ok()
    }

    pub(crate) fn tell(&self, report: impl Fn(&dyn Observer)) {
        report(&*self.first);
        if let Some(added) = self.added.get() {
            report(&**added);
        }
    }
}

/// Why a connection was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// There were enough idle connections: after a burst, a cleanup or a resize.
    Surplus,
    /// It had reached its age limit, [`max_lifetime`](crate::PoolConfig::max_lifetime).
    Recycled,
    /// It was opened before a [`dispose`](crate::Pool::dispose) or a change of the connect options.
    Disposed,
    /// It was returned in doubt (a query cut short, a transaction left open) and could not be restored in time; or its
    /// user changed the session in a way that no reset undoes.
    Dirty,
    /// It failed while in use, or its user discarded it.
    Broken,
    /// It did not answer a ping after being idle.
    Silent,
    /// Its server no longer accepts writes.
    ReadOnly,
    /// Its session kept using an outdated schema.
    Stale,
    /// A hook of the app refused it.
    Rejected,
    /// Its lease was revoked.
    Revoked,
    /// The pool is closed.
    PoolClosed,
}

impl CloseReason {
    /// All reasons.
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

    /// The reason as a label value, in snake case. The values do not change.
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
