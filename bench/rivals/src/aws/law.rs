//! The law: how fast a client may send, given when its requests were answered and which of them were rejected.

use std::time::Duration;

use crate::bucket::Bucket;

/// Share of the rate that a rejection leaves.
const BETA: f64 = 0.7;
/// How steep the cubic curve is.
const SCALE: f64 = 0.4;
/// Weight of the newest half second in the measured rate.
const SMOOTHING: f64 = 0.8;
/// Requests a second below which the rate does not fall.
const SMALLEST_RATE: f64 = 0.5;
/// The rate is at most this multiple of the measured one.
const AHEAD: f64 = 2.0;

/// A client's token bucket, whose rate follows CUBIC. It limits nothing before the first rejection. Times count from
/// any moment before the first call.
#[derive(Debug)]
pub struct AdaptiveRetry {
    cubic: Cubic,
    bucket: Bucket,
}

impl Default for AdaptiveRetry {
    fn default() -> Self {
        Self { cubic: Cubic::default(), bucket: Bucket::holding(0.0) }
    }
}

impl AdaptiveRetry {
    /// A request was answered, or rejected.
    pub fn answered(&mut self, rejected: bool, now: Duration) {
        if let Some(rate) = self.cubic.answered(rejected, now) {
            self.bucket.set(rate, rate.max(1.0), now);
        }
    }

    /// Takes a token if there is one: whether a request may be sent now.
    pub fn take(&mut self, now: Duration) -> bool {
        self.cubic.rate.is_none() || self.bucket.take(now)
    }

    /// Takes the next token: how long to wait before sending.
    pub fn reserve(&mut self, now: Duration) -> Duration {
        if self.cubic.rate.is_none() { Duration::ZERO } else { self.bucket.reserve(now) }
    }

    /// When the bucket has its next token; `None` before the first rejection.
    pub fn ready_at(&self) -> Option<Duration> {
        self.bucket.ready_at()
    }

    /// The page is loaded anew and nothing is limited until the next rejection.
    pub fn forget(&mut self, now: Duration) {
        self.cubic = Cubic { halves: (now.as_secs_f64() * 2.0).floor(), ..Cubic::default() };
    }
}

/// The rate, without the bucket.
#[derive(Clone, Copy, Debug, Default)]
struct Cubic {
    /// In force since the first rejection.
    rate: Option<f64>,
    /// Rate at the last rejection, and when that was.
    highest: f64,
    rejected_at: f64,
    measured: f64,
    counted: f64,
    /// End of the last measurement, in half seconds.
    halves: f64,
}

impl Cubic {
    /// An answer has come; the rate from now on.
    fn answered(&mut self, rejected: bool, now: Duration) -> Option<f64> {
        let now = now.as_secs_f64();
        self.measure(now);
        let rate = if rejected {
            self.highest = self.rate.map_or(self.measured, |rate| rate.min(self.measured));
            self.rejected_at = now;
            self.highest * BETA
        } else {
            SCALE * (now - self.rejected_at - self.recovery()).powi(3) + self.highest
        };
        if rejected || self.rate.is_some() {
            self.rate = Some(rate.min(AHEAD * self.measured).max(SMALLEST_RATE));
        }
        self.rate
    }

    /// Seconds until the rate of the last rejection is reached again.
    fn recovery(&self) -> f64 {
        (self.highest * (1.0 - BETA) / SCALE).cbrt()
    }

    fn measure(&mut self, now: f64) {
        self.counted += 1.0;
        let halves = (now * 2.0).floor();
        if halves > self.halves {
            let rate = self.counted * 2.0 / (halves - self.halves);
            self.measured = SMOOTHING * rate + (1.0 - SMOOTHING) * self.measured;
            self.counted = 0.0;
            self.halves = halves;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sends_ten_a_second_until(end: f64, cubic: &mut Cubic) -> f64 {
        let mut at = 0.0;
        while at < end {
            at += 0.1;
            cubic.answered(false, Duration::from_secs_f64(at));
        }
        at
    }

    #[test]
    fn nothing_is_limited_before_the_first_rejection() {
        let mut cubic = Cubic::default();
        sends_ten_a_second_until(10.0, &mut cubic);
        assert_eq!(cubic.rate, None);
        assert!((cubic.measured - 10.0).abs() < 1.0, "{}", cubic.measured);
    }

    #[test]
    fn a_rejection_leaves_seven_tenths_and_the_curve_leads_back() {
        let mut cubic = Cubic::default();
        let at = sends_ten_a_second_until(10.0, &mut cubic);
        let measured = cubic.measured;
        let cut = cubic.answered(true, Duration::from_secs_f64(at)).expect("limited");
        assert!((cut / measured - BETA).abs() < 1e-9, "{cut} of {measured}");
        let back = Cubic { measured: 100.0, ..cubic }
            .answered(false, Duration::from_secs_f64(at + cubic.recovery()))
            .expect("limited");
        assert!((back / measured - 1.0).abs() < 1e-9, "{back} of {measured}");
    }

    #[test]
    fn no_rejection_stops_a_client() {
        let mut cubic = Cubic::default();
        for half in 1..100 {
            cubic.answered(true, Duration::from_millis(500 * half));
        }
        assert_eq!(cubic.rate, Some(SMALLEST_RATE));
    }

    #[test]
    fn it_limits_nothing_until_it_is_throttled_and_then_adapts() {
        let mut retry = AdaptiveRetry::default();
        let mut now = Duration::ZERO;
        for _ in 0..1_000 {
            assert_eq!(retry.reserve(now), Duration::ZERO);
            retry.answered(false, now);
            now += Duration::from_millis(10);
        }
        // From here on the backend takes 20 a second; the client would send 100.
        let (mut sent, mut free) = (0, now);
        let start = now;
        while now < start + Duration::from_secs(60) {
            now += retry.reserve(now).max(Duration::from_millis(10));
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
