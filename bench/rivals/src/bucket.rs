//! A token bucket whose rate changes.

use std::time::Duration;

use poolgate_sim::random::seconds;

/// Largest error from rounding to nanoseconds.
const ROUNDING: f64 = 1e-6;

#[derive(Debug)]
pub(crate) struct Bucket {
    rate: f64,
    depth: f64,
    tokens: f64,
    filled_at: Duration,
}

impl Bucket {
    /// A bucket that gets no new tokens until its rate is set.
    pub(crate) fn holding(tokens: f64) -> Self {
        Self { rate: 0.0, depth: 1.0, tokens, filled_at: Duration::ZERO }
    }

    pub(crate) fn rate(&self) -> f64 {
        self.rate
    }

    /// From now on it gets `rate` tokens per second and holds at most `depth`.
    pub(crate) fn set(&mut self, rate: f64, depth: f64, now: Duration) {
        self.fill(now);
        self.rate = rate;
        self.depth = depth;
        self.tokens = self.tokens.min(depth);
    }

    /// Takes a token if there is one.
    pub(crate) fn take(&mut self, now: Duration) -> bool {
        self.fill(now);
        let enough = self.tokens >= 1.0 - ROUNDING;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }

    /// Takes the next token, even if it is not there yet. Returns how long until it is.
    pub(crate) fn reserve(&mut self, now: Duration) -> Duration {
        self.fill(now);
        self.tokens -= 1.0;
        seconds((-self.tokens / self.rate).max(0.0))
    }

    /// When the next token is there; `None` if the rate is 0.
    pub(crate) fn ready_at(&self) -> Option<Duration> {
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
