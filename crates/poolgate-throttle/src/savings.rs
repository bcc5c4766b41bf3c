//! What is left of a client's budget, to be kept where a reload does not reach it.

use std::time::Duration;

use crate::{bucket, limits, pause, span};

/// What is left of a client's budget, as plain numbers that a shell can store and
/// [restore](crate::Throttle::restore). Nothing in it is secret.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Savings {
    /// Tokens in the bucket, from 0 to its depth. One pays for a start, on average.
    pub tokens: f64,
    /// The rate that refills the bucket, in tokens per second. 0: no rate has been in force yet.
    pub rate_per_second: f64,
    /// What the next start costs, in tokens, from 0.5 to 1.5: drawn again at every load, the cheapest would win.
    pub next_cost: f64,
    /// How many seconds the gate's `Retry-After` still holds everything back, from 0 to 60.
    pub paused_for_seconds: f64,
    /// The epoch of the config in force; 0: none.
    pub epoch: u64,
}

impl Savings {
    /// Every number is one that a throttle could have written.
    pub(crate) fn is_sound(&self) -> bool {
        let rate_is_known = (limits::RATES.0..=limits::RATES.1).contains(&self.rate_per_second);
        let deepest = if rate_is_known { bucket::depth(self.rate_per_second) } else { 0.0 };
        (rate_is_known || self.rate_per_second == 0.0)
            && (0.0..=deepest).contains(&self.tokens)
            && (bucket::COSTS.0..=bucket::COSTS.1).contains(&self.next_cost)
            && (0.0..=pause::LONGEST.as_secs_f64()).contains(&self.paused_for_seconds)
    }

    /// What is left of the pause after `age`.
    pub(crate) fn paused_for(&self, age: Duration) -> Duration {
        span::of_seconds(self.paused_for_seconds).saturating_sub(age)
    }
}
