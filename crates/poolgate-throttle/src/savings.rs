//! The rest of a client's budget, for storage across a reload.

use std::time::Duration;

use crate::span;

/// The rest of a client's budget as plain numbers that a host can store and [restore](crate::Throttle::restore). It
/// contains no secret.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Savings {
    /// Tokens in the bucket, from 0 to its depth. A start costs one on average.
    pub tokens: f64,
    /// Rate that refills the bucket in tokens per second; 0 if no rate has been in force.
    pub rate_per_second: f64,
    /// Cost of the next start in tokens, from 0.5 to 1.5. If it were drawn again on each load, reloading would pick the
    /// cheapest.
    pub next_cost: f64,
    /// Seconds for which the gate's `Retry-After` still holds requests back, from 0 to 60.
    pub paused_for_seconds: f64,
    /// Epoch of the config in force; 0 if there is none.
    pub epoch: u64,
}

impl Savings {
    /// Rest of the pause after `age`.
    pub(crate) fn paused_for(&self, age: Duration) -> Duration {
        span::of_seconds(self.paused_for_seconds).saturating_sub(age)
    }
}
