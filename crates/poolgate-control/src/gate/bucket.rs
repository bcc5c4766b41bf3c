//! A token bucket, counted in requests owed.

use std::time::Duration;

/// The requests that a caller has sent and that its rate has not covered yet.
///
/// The rate is an argument because it is the same for all callers and changes with every config. What a caller owes is
/// counted in requests, not in time: a rate that was very low for a moment must not lock a caller out after it has
/// risen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    owed: f64,
    at: Duration,
}

impl Bucket {
    /// The requests owed now, after `per_second` has covered the time since the last one.
    pub(super) fn owed(self, per_second: f64, now: Duration) -> f64 {
        let covered = per_second * now.saturating_sub(self.at).as_secs_f64();
        (self.owed - covered).max(0.0)
    }

    /// The bucket with this many requests owed at this time. A clock that goes backwards counts as standing still.
    pub(super) fn owing(self, owed: f64, now: Duration) -> Self {
        Self { owed, at: self.at.max(now) }
    }
}
