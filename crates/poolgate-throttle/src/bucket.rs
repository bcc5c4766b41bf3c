//! The rate limit: a token bucket with jitter.
//!
//! Equal buckets that start together fire together, which the server sees as a burst however low the rate. Three
//! random numbers keep clients apart: how full the bucket is at first, how long after a rate comes into force the first
//! start may happen, and what each start costs (U(0.5, 1.5) tokens, 1 on average).

use std::time::Duration;

use crate::rng::Rng;

/// Least depth of the bucket in tokens: the dearest start must fit.
const LEAST_DEPTH: f64 = 1.5;
/// Rounding of times to nanoseconds must not make a start wait for another wake-up.
const TOLERANCE: f64 = 1e-6;

/// Tokens for starts. It runs on while no rate is in force, so that a short release does not refill it.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// The rate that refills it, in tokens per second; 0 before the first one.
    refill_rate: f64,
    in_force: bool,
    tokens: f64,
    refilled_at: Duration,
    /// What the next start costs; drawn in advance so that asking twice gives the same answer.
    cost: f64,
    /// Spreads the first start after a rate has come into force.
    not_before: Duration,
}

impl Bucket {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self {
            refill_rate: 0.0,
            in_force: false,
            tokens: 0.0,
            refilled_at: Duration::ZERO,
            cost: draw_cost(rng),
            not_before: Duration::ZERO,
        }
    }

    /// Puts another rate (or none) into force. `rate` is finite and positive.
    pub(crate) fn set_rate(&mut self, rate: Option<f64>, now: Duration, rng: &mut Rng) {
        let Some(rate) = rate else {
            self.in_force = false;
            return;
        };
        self.refill(now);
        let known = self.refill_rate > 0.0;
        // The used share of the budget stays what it is: a change of rate neither refills nor empties.
        let kept = if known { self.tokens * depth(rate) / depth(self.refill_rate) } else { f64::INFINITY };
        if self.in_force {
            self.tokens = kept;
        } else {
            let first = rng.between(0.0, LEAST_DEPTH) * (10.0 * rate).min(1.0);
            if first < kept {
                self.not_before = now.saturating_add(Duration::from_secs_f64(rng.unit() * rate.recip().min(1.0)));
            }
            self.tokens = first.min(kept);
        }
        self.refill_rate = rate;
        self.in_force = true;
    }

    /// When the next start may happen, as seen from `now`; not after `now` when it may happen at once.
    pub(crate) fn ready_at(&self, now: Duration) -> Duration {
        if !self.in_force {
            return Duration::ZERO;
        }
        let missing = self.cost - TOLERANCE - self.tokens_at(now);
        let filled_at = if missing > 0.0 {
            let wait = Duration::try_from_secs_f64(missing / self.refill_rate).unwrap_or(Duration::MAX);
            now.saturating_add(wait)
        } else {
            now
        };
        filled_at.max(self.not_before)
    }

    /// Pays for a start.
    pub(crate) fn spend(&mut self, now: Duration, rng: &mut Rng) {
        if self.in_force {
            self.refill(now);
            self.tokens = (self.tokens - self.cost).max(0.0);
            self.cost = draw_cost(rng);
        }
    }

    fn refill(&mut self, now: Duration) {
        self.tokens = self.tokens_at(now);
        self.refilled_at = self.refilled_at.max(now);
    }

    fn tokens_at(&self, now: Duration) -> f64 {
        let elapsed = now.saturating_sub(self.refilled_at).as_secs_f64();
        (self.tokens + elapsed * self.refill_rate).min(depth(self.refill_rate))
    }
}

/// One second of the rate, but room for the dearest start.
fn depth(rate: f64) -> f64 {
    rate.max(LEAST_DEPTH)
}

fn draw_cost(rng: &mut Rng) -> f64 {
    rng.between(0.5, 1.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// A bucket at `rate`, in force since 0, and how many starts it allows from then until `end`.
    fn run(bucket: &mut Bucket, rng: &mut Rng, from: Duration, end: Duration) -> u32 {
        let (mut now, mut starts) = (from, 0);
        loop {
            let ready = bucket.ready_at(now);
            if ready > now {
                if ready >= end {
                    return starts;
                }
                now = ready;
                continue;
            }
            bucket.spend(now, rng);
            starts += 1;
        }
    }

    #[test]
    fn holds_its_rate_over_time() {
        for rate in [0.05, 1.0, 7.5, 100.0] {
            let mut rng = Rng::new(3);
            let mut bucket = Bucket::new(&mut rng);
            bucket.set_rate(Some(rate), secs(0), &mut rng);
            let starts = f64::from(run(&mut bucket, &mut rng, secs(0), secs(10_000)));
            assert!((starts / (rate * 10_000.0) - 1.0).abs() < 0.04, "{starts} starts at {rate}/s");
        }
    }

    #[test]
    fn first_fill_and_first_start_differ_from_client_to_client() {
        let mut rng = Rng::new(5);
        let mut at_once = 0;
        for _ in 0..1000 {
            let mut bucket = Bucket::new(&mut rng);
            bucket.set_rate(Some(2.0), secs(9), &mut rng);
            assert!((0.0..1.5).contains(&bucket.tokens));
            at_once += u32::from(bucket.ready_at(secs(9)) <= secs(9) + Duration::from_millis(50));
        }
        // A third has tokens enough for its first start; spread over half a second, a tenth of those within 50 ms.
        assert!((10..70).contains(&at_once), "{at_once}");
    }

    #[test]
    fn first_fill_is_small_when_the_rate_is() {
        let mut rng = Rng::new(5);
        for _ in 0..1000 {
            let mut bucket = Bucket::new(&mut rng);
            bucket.set_rate(Some(0.01), secs(0), &mut rng);
            assert!(bucket.tokens <= 0.15);
        }
    }

    #[test]
    fn a_change_of_rate_keeps_the_used_share() {
        let mut rng = Rng::new(5);
        let mut bucket = Bucket::new(&mut rng);
        bucket.set_rate(Some(10.0), secs(0), &mut rng);
        bucket.refill(secs(100));
        assert_eq!(bucket.tokens, 10.0);
        bucket.tokens = 4.0;
        bucket.set_rate(Some(20.0), secs(100), &mut rng);
        assert!((bucket.tokens - 8.0).abs() < 1e-9, "40 % of 20");
        bucket.set_rate(Some(1.0), secs(100), &mut rng);
        assert!((bucket.tokens - 0.6).abs() < 1e-9, "40 % of 1.5");
    }

    #[test]
    fn flapping_rates_give_nothing_away() {
        let mut rng = Rng::new(5);
        let mut bucket = Bucket::new(&mut rng);
        bucket.set_rate(Some(1.0), secs(0), &mut rng);
        let mut starts = 0;
        for tenth in 0..600_u64 {
            let now = Duration::from_millis(tenth * 100);
            bucket.set_rate(Some(if tenth % 2 == 0 { 10.0 } else { 0.1 }), now, &mut rng);
            starts += run(&mut bucket, &mut rng, now, now + Duration::from_millis(100));
        }
        // 60 s at 5.05/s on average.
        assert!(starts < 340, "{starts}");
    }

    #[test]
    fn a_short_release_does_not_refill() {
        let mut rng = Rng::new(5);
        let mut emptier = 0;
        for _ in 0..100 {
            let mut bucket = Bucket::new(&mut rng);
            bucket.set_rate(Some(0.5), secs(0), &mut rng);
            run(&mut bucket, &mut rng, secs(0), secs(60));
            let before = bucket.tokens_at(secs(60));
            bucket.set_rate(None, secs(60), &mut rng);
            assert!(bucket.ready_at(secs(60)) <= secs(60));
            bucket.set_rate(Some(0.5), Duration::from_millis(60_100), &mut rng);
            assert!(bucket.tokens <= before + 0.05 + 1e-9, "{before} -> {}", bucket.tokens);
            emptier += u32::from(before < 0.7);
        }
        assert!(emptier > 20, "a random fill would often have been more");
    }

    #[test]
    fn extreme_rates_and_times_are_numbers() {
        let mut rng = Rng::new(5);
        let mut bucket = Bucket::new(&mut rng);
        for rate in [1e-6, 1e6, f64::MIN_POSITIVE, f64::MAX, 1.0] {
            bucket.set_rate(Some(rate), Duration::MAX, &mut rng);
            bucket.spend(Duration::MAX, &mut rng);
            assert!(bucket.tokens.is_finite() && bucket.tokens >= 0.0, "{rate}: {}", bucket.tokens);
            let _ = bucket.ready_at(Duration::MAX);
        }
    }
}
