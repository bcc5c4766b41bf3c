//! The rate limit: a token bucket with jitter.
//!
//! Clients whose buckets start full at the same time all send at once, and the server sees a burst at any rate. Two
//! random numbers spread them: the cost of each start (U(0.5, 1.5) tokens, 1 on average), and the part of the first
//! start that a client has already earned when a rate comes into force. The second makes all clients together start
//! about as many requests in the first moment as in any other.

use std::time::Duration;

use poolgate_types::rng::Rng;

use crate::{limits::RATES, savings::Savings, span};

/// Range of the cost of a start in tokens, uniform, 1 on average.
pub(crate) const COSTS: (f64, f64) = (0.5, 1.5);
/// Time in which the rate fills the bucket. Deeper buckets let a few clients with high rates send bursts that the gate
/// cannot hold: with a whole second, ten clients lose 3 % of the goodput in the simulator.
const DEPTH: Duration = Duration::from_millis(250);
/// Minimum depth of the bucket in tokens: it must hold the most expensive start.
const LEAST_DEPTH: f64 = COSTS.1;
/// Tokens that may be missing for a start, so that rounding to nanoseconds does not cost another wake-up.
const TOLERANCE: f64 = 1e-6;
/// Maximum age of savings that continue as if the reload had not happened.
const UNBROKEN: Duration = Duration::from_secs(10);
/// When a rate comes into force, a client has earned U(0, this) of its next start, at most one start: one in four may
/// start at once. That is the share that has a start saved up while users want four times their rate. If they want more
/// or less, the first second is a little above or below the following ones.
const FIRST_FILL: f64 = 4.0 / 3.0;
/// Minimum age that a new client is assumed to have: it has earned tokens for its age when the first rate comes into
/// force.
const NEWCOMER: Duration = Duration::from_secs(10);

/// Tokens for starts. It also fills while no rate is in force, so that a short release does not refill it.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// Rate that refills the bucket, in tokens per second; 0 before the first one.
    refill_rate: f64,
    in_force: bool,
    tokens: f64,
    refilled_at: Duration,
    /// Cost of the next start, drawn in advance so that repeated questions get the same answer.
    cost: f64,
    /// A rate that comes into force before this time continues the one from before the reload.
    continues_until: Duration,
}

/// Facts about the client that decide what a change of rate means.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    /// Time since the client started.
    pub(crate) age: Duration,
    /// It has queued requests.
    pub(crate) waits: bool,
}

impl Bucket {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self {
            refill_rate: 0.0,
            in_force: false,
            tokens: 0.0,
            refilled_at: Duration::ZERO,
            cost: draw_cost(rng),
            continues_until: Duration::ZERO,
        }
    }

    /// Continues a bucket that was saved `age` ago; the rate in force stays.
    ///
    /// Savings older than [`UNBROKEN`] give a client at most what a new one gets: clients that return in the morning
    /// must not all have full buckets.
    pub(crate) fn restore(&mut self, savings: &Savings, age: Duration, now: Duration) {
        self.cost = savings.next_cost;
        if savings.rate_per_second <= 0.0 {
            return;
        }
        let in_force = self.in_force.then_some(self.refill_rate);
        self.refill_rate = savings.rate_per_second;
        self.tokens = (savings.tokens + age.as_secs_f64() * self.refill_rate).min(depth(self.refill_rate));
        self.refilled_at = now;
        self.continues_until = now.saturating_add(UNBROKEN.saturating_sub(age));
        if let Some(rate) = in_force {
            self.rescale(rate, true);
        }
    }

    /// The state that [`restore`](Self::restore) needs.
    pub(crate) fn savings(&self, now: Duration) -> Savings {
        Savings {
            tokens: self.tokens_at(now),
            rate_per_second: self.refill_rate,
            next_cost: self.cost,
            paused_for_seconds: 0.0,
            epoch: 0,
        }
    }

    /// `false`: a new bucket would be as good.
    pub(crate) fn is_worth_saving(&self, now: Duration) -> bool {
        self.refill_rate > 0.0 && (self.in_force || self.tokens_at(now) < depth(self.refill_rate))
    }

    /// The savings belong to another epoch: they continue as after a long break.
    pub(crate) const fn break_off(&mut self) {
        self.continues_until = Duration::ZERO;
    }

    /// Whether a bucket can have saved these numbers.
    pub(crate) fn can_have_saved(savings: &Savings) -> bool {
        let rate_is_known = (RATES.0..=RATES.1).contains(&savings.rate_per_second);
        let deepest = if rate_is_known { depth(savings.rate_per_second) } else { 0.0 };
        (rate_is_known || savings.rate_per_second == 0.0)
            && (0.0..=deepest).contains(&savings.tokens)
            && (COSTS.0..=COSTS.1).contains(&savings.next_cost)
    }

    /// Puts another rate into force, or none. `rate` is finite and positive.
    pub(crate) fn set_rate(&mut self, rate: Option<f64>, client: Client, now: Duration, rng: &mut Rng) {
        let Some(rate) = rate else {
            self.in_force = false;
            return;
        };
        self.refill(now);
        let kept = self.rescale(rate, client.waits);
        if !self.in_force && now >= self.continues_until {
            // As if the rate had been in force for long: then as many requests start in the first moment as in any
            // other. A client that cannot afford its next start keeps its tokens: they are its place in the order.
            if kept >= self.cost {
                let earned = rate * client.age.max(NEWCOMER).as_secs_f64();
                self.tokens = self.cost * rng.between(0.0, FIRST_FILL).min(1.0) * earned.min(1.0);
            }
        }
        self.in_force = true;
    }

    /// Changes this bucket's share of the client: multiplies its tokens by `kept`, adds `gained`, and returns the
    /// tokens given up. `rate` is finite and positive.
    pub(crate) fn reshare(&mut self, rate: f64, kept: f64, gained: f64, now: Duration) -> f64 {
        self.refill(now);
        let given = self.tokens * (1.0 - kept);
        let gained = if gained.is_finite() { gained.max(0.0) } else { 0.0 };
        self.refill_rate = rate;
        self.tokens = (self.tokens - given + gained).min(depth(rate));
        given
    }

    /// When the next start may happen; not after `now` if it may happen at once.
    pub(crate) fn ready_at(&self, now: Duration) -> Duration {
        self.ready_after(0.0, now)
    }

    /// When a start may happen if others spend `spent_before` tokens first.
    pub(crate) fn ready_after(&self, spent_before: f64, now: Duration) -> Duration {
        if !self.in_force {
            return Duration::ZERO;
        }
        let missing = spent_before + self.cost - TOLERANCE - self.tokens_at(now);
        if missing <= 0.0 {
            return now;
        }
        now.saturating_add(span::of_seconds(missing / self.refill_rate))
    }

    /// Pays for a start.
    pub(crate) fn spend(&mut self, now: Duration, rng: &mut Rng) {
        if self.in_force || now < self.continues_until {
            self.refill(now);
            self.tokens = (self.tokens - self.cost).max(0.0);
            self.cost = draw_cost(rng);
        }
    }

    /// Converts the tokens to another rate and returns them; a change of rate neither fills nor empties the bucket. A
    /// client with queued requests keeps the earned share of its next start, because a higher rate must not start all
    /// of them at once. A client without queued requests keeps the earned time, which is worth more at a higher rate.
    /// Otherwise a million clients that send every few minutes would follow a new rate only minutes later.
    fn rescale(&mut self, rate: f64, waits: bool) -> f64 {
        let same_share = depth(rate) / depth(self.refill_rate);
        let same_time = rate / self.refill_rate;
        self.tokens = match self.refill_rate > 0.0 {
            true => (self.tokens * if waits { same_share } else { same_time }).min(depth(rate)),
            false => f64::INFINITY,
        };
        self.refill_rate = rate;
        self.tokens
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

/// Depth of the bucket in tokens: a quarter of a second of the rate, at least [`LEAST_DEPTH`].
fn depth(rate: f64) -> f64 {
    (DEPTH.as_secs_f64() * rate).max(LEAST_DEPTH)
}

fn draw_cost(rng: &mut Rng) -> f64 {
    rng.between(COSTS.0, COSTS.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: Client = Client { age: Duration::ZERO, waits: true };

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// Number of starts that a bucket allows between `from` and `end`.
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
            bucket.set_rate(Some(rate), NEW, secs(0), &mut rng);
            let starts = f64::from(run(&mut bucket, &mut rng, secs(0), secs(10_000)));
            assert!((starts / (rate * 10_000.0) - 1.0).abs() < 0.04, "{starts} starts at {rate}/s");
        }
    }

    /// Starts of 10,000 clients in each quarter of an interval (1 / rate) after a rate comes into force, in intervals.
    fn onset(rate: f64, age: Duration) -> Vec<f64> {
        let mut rng = Rng::new(5);
        let quarter = Duration::from_secs_f64(0.25 / rate);
        let mut starts = vec![0_u32; 8];
        for _ in 0..10_000 {
            let mut bucket = Bucket::new(&mut rng);
            bucket.set_rate(Some(rate), Client { age, waits: true }, secs(9), &mut rng);
            for (number, count) in (0..).zip(&mut starts) {
                *count += run(&mut bucket, &mut rng, secs(9) + quarter * number, secs(9) + quarter * (number + 1));
            }
        }
        starts.into_iter().map(|count| f64::from(count) / 2500.0).collect()
    }

    #[test]
    fn as_many_start_in_the_first_moment_as_later() {
        for (rate, age) in [(2.0, secs(0)), (0.01, secs(3600))] {
            let starts = onset(rate, age);
            assert!(
                starts[1..].iter().all(|share| (0.75..1.2).contains(share)) && starts[0] < 2.0,
                "{rate}: {starts:?}"
            );
        }
    }

    #[test]
    fn a_new_client_has_earned_ten_seconds_at_most() {
        let mut rng = Rng::new(5);
        for _ in 0..1000 {
            let mut bucket = Bucket::new(&mut rng);
            bucket.set_rate(Some(0.01), NEW, secs(0), &mut rng);
            assert!(bucket.tokens <= 0.15);
        }
    }

    #[test]
    fn a_change_of_rate_keeps_the_used_share() {
        let mut rng = Rng::new(5);
        let mut bucket = Bucket::new(&mut rng);
        bucket.set_rate(Some(10.0), NEW, secs(0), &mut rng);
        bucket.refill(secs(100));
        assert_eq!(bucket.tokens, 2.5);
        bucket.tokens = 1.0;
        bucket.set_rate(Some(20.0), NEW, secs(100), &mut rng);
        assert!((bucket.tokens - 2.0).abs() < 1e-9, "40 % of 5");
        bucket.set_rate(Some(1.0), NEW, secs(100), &mut rng);
        assert!((bucket.tokens - 0.6).abs() < 1e-9, "40 % of 1.5");
    }

    #[test]
    fn flapping_rates_give_no_extra_starts() {
        let mut rng = Rng::new(5);
        let mut bucket = Bucket::new(&mut rng);
        bucket.set_rate(Some(1.0), NEW, secs(0), &mut rng);
        let mut starts = 0;
        for tenth in 0..600_u64 {
            let now = Duration::from_millis(tenth * 100);
            bucket.set_rate(Some(if tenth % 2 == 0 { 10.0 } else { 0.1 }), NEW, now, &mut rng);
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
            bucket.set_rate(Some(0.5), NEW, secs(0), &mut rng);
            run(&mut bucket, &mut rng, secs(0), secs(60));
            let before = bucket.tokens_at(secs(60));
            bucket.set_rate(None, NEW, secs(60), &mut rng);
            assert!(bucket.ready_at(secs(60)) <= secs(60));
            bucket.set_rate(Some(0.5), NEW, Duration::from_millis(60_100), &mut rng);
            assert!(bucket.tokens <= before + 0.05 + 1e-9, "{before} -> {}", bucket.tokens);
            emptier += u32::from(before < 0.7);
        }
        assert!(emptier > 20, "a random fill would often have been more");
    }

    #[test]
    fn extreme_rates_and_times_give_finite_tokens() {
        let mut rng = Rng::new(5);
        let mut bucket = Bucket::new(&mut rng);
        for rate in [1e-6, 1e6, f64::MIN_POSITIVE, f64::MAX, 1.0] {
            bucket.set_rate(Some(rate), NEW, Duration::MAX, &mut rng);
            bucket.spend(Duration::MAX, &mut rng);
            assert!(bucket.tokens.is_finite() && bucket.tokens >= 0.0, "{rate}: {}", bucket.tokens);
            let _ = bucket.ready_at(Duration::MAX);
        }
    }
}
