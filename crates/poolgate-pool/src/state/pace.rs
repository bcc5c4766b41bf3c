//! Limits how many connects begin per second.

use std::time::{Duration, Instant};

/// A token bucket: `burst` connects at once, then one per `interval`. Instead of a count of tokens it keeps the time at
/// which the bucket will be full again.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    /// How far connects may be ahead of the even pace.
    tolerance: Duration,
    full_at: Option<Instant>,
}

impl Pace {
    /// `rate` per second and `burst` are at least 1.
    pub(crate) fn new(rate: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1) / rate.max(1);
        let mut pace = Self { interval, tolerance: Duration::ZERO, full_at: None };
        pace.set_burst(burst);
        pace
    }

    pub(crate) fn set_burst(&mut self, burst: u32) {
        self.tolerance = self.interval * burst.saturating_sub(1);
    }

    /// Takes up to `wanted` tokens; returns how many it took.
    pub(crate) fn take(&mut self, wanted: u32, now: Instant) -> u32 {
        let mut taken = 0;
        while taken < wanted && self.wait(now).is_zero() {
            self.full_at = Some(self.full_at.map_or(now, |at| at.max(now)) + self.interval);
            taken += 1;
        }
        taken
    }

    /// Returns a token: a connection is replaced, not added.
    pub(crate) fn give_back(&mut self) {
        self.full_at = self.full_at.and_then(|at| at.checked_sub(self.interval));
    }

    /// Time until there is a token.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        let ahead = self.full_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        ahead.saturating_sub(self.tolerance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_an_even_pace() {
        let now = Instant::now();
        let at = |ms| now + Duration::from_millis(ms);
        let mut pace = Pace::new(20, 3);
        assert_eq!(pace.take(2, now), 2);
        assert_eq!(pace.take(5, now), 1, "the bucket is empty");
        assert_eq!(pace.wait(now), Duration::from_millis(50));
        assert_eq!(pace.take(1, at(49)), 0);
        assert_eq!((pace.take(2, at(50)), pace.take(1, at(100))), (1, 1));
        assert_eq!(pace.take(9, at(10_000)), 3, "it never holds more than the burst");
        pace.give_back();
        assert_eq!((pace.take(2, at(10_000)), pace.wait(at(10_000))), (1, Duration::from_millis(50)));
        pace.set_burst(1);
        assert_eq!(pace.wait(at(10_000)), Duration::from_millis(150));
    }
}
