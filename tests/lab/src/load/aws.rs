//! The adaptive retry mode of the AWS SDKs, as botocore has it: a token bucket whose rate a CUBIC law changes. It begins with
//! the first response that says "slow down"; each of those cuts the rate to 0.7 of what was sent.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Share of the rate that a throttled response leaves.
const BETA: f64 = 0.7;
/// How steeply the rate grows again.
const SCALE: f64 = 0.4;
/// The rate is measured in buckets of half a second.
const BUCKETS_PER_SECOND: f64 = 2.0;
/// Weight of the newest bucket.
const SMOOTHING: f64 = 0.8;
/// Requests a second below which the bucket does not fall.
const MIN_RATE: f64 = 0.5;
const MIN_CAPACITY: f64 = 1.0;

#[derive(Debug)]
pub(super) struct AdaptiveRetry {
    origin: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    enabled: bool,
    /// Requests a second that the bucket lets out, its depth, and what is in it (less than nothing: promised).
    rate: f64,
    capacity: f64,
    tokens: f64,
    filled_at: f64,
    /// The measured rate: of which half second, how many in it, and the average.
    bucket: f64,
    count: f64,
    measured: f64,
    /// CUBIC: the rate before the last cut, when that was.
    w_max: f64,
    cut_at: f64,
}

impl Default for AdaptiveRetry {
    fn default() -> Self {
        Self { origin: Instant::now(), state: Mutex::default() }
    }
}

impl AdaptiveRetry {
    /// Takes a token: how long to wait until it is there.
    pub(super) fn take(&self, now: Instant) -> Duration {
        let now = self.seconds(now);
        let mut state = self.lock();
        if !state.enabled {
            return Duration::ZERO;
        }
        state.fill(now);
        state.tokens -= 1.0;
        Duration::try_from_secs_f64(-state.tokens / state.rate).unwrap_or(Duration::ZERO)
    }

    /// A request was answered.
    pub(super) fn answered(&self, throttled: bool, now: Instant) {
        let now = self.seconds(now);
        let mut state = self.lock();
        state.measure(now);
        let rate = if throttled {
            let used = if state.enabled { state.measured.min(state.rate) } else { state.measured };
            state.w_max = used;
            state.cut_at = now;
            state.enabled = true;
            used * BETA
        } else {
            let k = (state.w_max * (1.0 - BETA) / SCALE).cbrt();
            SCALE * (now - state.cut_at - k).powi(3) + state.w_max
        };
        if state.enabled {
            let rate = rate.min(2.0 * state.measured);
            state.set_rate(rate, now);
        }
    }

    fn seconds(&self, now: Instant) -> f64 {
        now.saturating_duration_since(self.origin).as_secs_f64()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn fill(&mut self, now: f64) {
        self.tokens = (self.tokens + (now - self.filled_at) * self.rate).min(self.capacity);
        self.filled_at = now;
    }

    fn set_rate(&mut self, rate: f64, now: f64) {
        self.fill(now);
        self.rate = rate.max(MIN_RATE);
        self.capacity = rate.max(MIN_CAPACITY);
        self.tokens = self.tokens.min(self.capacity);
    }

    fn measure(&mut self, now: f64) {
        let bucket = (now * BUCKETS_PER_SECOND).floor() / BUCKETS_PER_SECOND;
        self.count += 1.0;
        if bucket > self.bucket {
            let newest = self.count / (bucket - self.bucket);
            self.measured = newest * SMOOTHING + self.measured * (1.0 - SMOOTHING);
            self.count = 0.0;
            self.bucket = bucket;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_limits_nothing_until_it_is_throttled_and_then_adapts() {
        let retry = AdaptiveRetry::default();
        let mut now = retry.origin;
        for _ in 0..1_000 {
            assert_eq!(retry.take(now), Duration::ZERO);
            retry.answered(false, now);
            now += Duration::from_millis(10);
        }
        // From here on the backend takes 20 a second; the client would send 100.
        let (mut sent, mut free) = (0, now);
        let start = now;
        while now < start + Duration::from_secs(60) {
            now += retry.take(now).max(Duration::from_millis(10));
            sent += 1;
            let throttled = now < free;
            if !throttled {
                free = free.max(now - Duration::from_millis(50)) + Duration::from_millis(50);
            }
            retry.answered(throttled, now);
        }
        let rate = f64::from(sent) / 60.0;
        assert!((15.0..30.0).contains(&rate), "{rate}");
    }
}
