//! A bucket of tokens whose rate changes, for the rivals that have one.

use std::time::Duration;

use crate::random::seconds;

/// What rounding to nanoseconds may cost.
const ROUNDING: f64 = 1e-6;

#[derive(Debug)]
pub(super) struct Bucket {
    rate: f64,
    depth: f64,
    tokens: f64,
    filled_at: Duration,
}

impl Bucket {
    /// Nothing is added until it gets a rate.
    pub(super) fn holding(tokens: f64) -> Self {
        Self { rate: 0.0, depth: 1.0, tokens, filled_at: Duration::ZERO }
    }

    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    /// From now on so many tokens a second, and room for `depth` of them.
    pub(super) fn set(&mut self, rate: f64, depth: f64, now: Duration) {
        self.fill(now);
        self.rate = rate;
        self.depth = depth;
        self.tokens = self.tokens.min(depth);
    }

    /// Takes a token if there is one.
    pub(super) fn take(&mut self, now: Duration) -> bool {
        self.fill(now);
        let enough = self.tokens >= 1.0 - ROUNDING;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }

    /// When there will be a token, if ever.
    pub(super) fn ready_at(&self) -> Option<Duration> {
        let missing = (1.0 - self.tokens).max(0.0);
        (self.rate > 0.0).then(|| self.filled_at + seconds(missing / self.rate))
    }

    fn fill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.rate).min(self.depth);
        self.filled_at = self.filled_at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_there_when_it_was_announced() {
        let mut bucket = Bucket::holding(0.0);
        assert_eq!(bucket.ready_at(), None);
        for rate in [0.37, 3.0, 399.9] {
            bucket.set(rate, 1.0, bucket.filled_at);
            for _ in 0..1000 {
                let ready = bucket.ready_at().expect("a rate is set");
                assert!(bucket.take(ready), "{rate} {bucket:?}");
            }
        }
    }

    #[test]
    fn an_hour_of_rest_fills_it_once() {
        let mut bucket = Bucket::holding(0.0);
        bucket.set(10.0, 3.0, Duration::ZERO);
        let now = Duration::from_secs(3600);
        assert_eq!((0..10).filter(|_| bucket.take(now)).count(), 3);
    }
}
