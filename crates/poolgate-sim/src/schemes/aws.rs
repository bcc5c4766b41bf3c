//! The adaptive retry mode of the AWS SDKs: a bucket of tokens in each client, whose rate falls to 0.7 when a request
//! is rejected and grows back along a cubic curve. Its quota of 500 retry tokens never runs out here and is left out.
//!
//! A client knows only what happens to its own requests. With many clients the smallest rate of 0.5 a second is what
//! each of them sends whatever happens, and the rate is measured over half seconds in which there is one request or
//! none. With few of them the gate rejects several at once, each rejection cuts the rate again, and the curve takes
//! seconds to lead back: half of the capacity is lost in the teeth of that saw.

use std::time::Duration;

use super::{
    bucket::Bucket,
    line::{Line, Order},
    poolgate::CoDel,
    silent::Silence,
};
use crate::{
    random::Random,
    scenario::Scenario,
    scheme::{Client, Limiter, Message, Outcome, Publisher, Scheme, Verdict},
};

/// What is left of the rate after a rejection.
const BETA: f64 = 0.7;
/// How steep the curve is.
const SCALE: f64 = 0.4;
/// Weight of the newest half second in the measured rate.
const SMOOTHING: f64 = 0.8;
const SMALLEST_RATE: f64 = 0.5;
/// The rate is at most so many times what is measured.
const AHEAD: f64 = 2.0;

pub(super) struct Aws;

impl Scheme for Aws {
    fn name(&self) -> &'static str {
        "aws"
    }

    fn about(&self) -> &'static str {
        "AWS SDKs' adaptive retry mode (CUBIC), and the CoDel gate"
    }

    fn limiter(&self, scenario: &Scenario) -> Box<dyn Limiter> {
        Box::new(CoDel::new(scenario))
    }

    fn publisher(&self, _scenario: &Scenario, _epoch: u64) -> Box<dyn Publisher> {
        Box::new(Silence)
    }

    fn client(&self, scenario: &Scenario, _seed: u64) -> Box<dyn Client> {
        Box::new(Paced::new(Line::new(scenario.queue_timeout(), Order::OldestFirst)))
    }
}

/// The law: what rate follows from what was answered when.
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

struct Paced {
    cubic: Cubic,
    bucket: Bucket,
    line: Line,
}

impl Paced {
    fn new(line: Line) -> Self {
        Self { cubic: Cubic::default(), bucket: Bucket::holding(0.0), line }
    }

    fn may_send(&mut self, now: Duration) -> bool {
        self.cubic.rate.is_none() || self.bucket.take(now)
    }
}

impl Client for Paced {
    fn submit(&mut self, request: u32, now: Duration) -> Verdict {
        if self.line.is_empty() && self.may_send(now) {
            Verdict::Start
        } else if self.line.push(request, now) {
            Verdict::Wait
        } else {
            Verdict::Refuse
        }
    }

    fn abort(&mut self, request: u32, _now: Duration) {
        self.line.remove(request);
    }

    fn complete(&mut self, _request: u32, outcome: Outcome, now: Duration) {
        let rejected = matches!(outcome, Outcome::Rejected { .. });
        if let Some(rate) = self.cubic.answered(rejected, now) {
            self.bucket.set(rate, rate.max(1.0), now);
        }
    }

    fn hear(&mut self, _message: &Message, _now: Duration) {}

    fn poll(&mut self, now: Duration) -> Option<(u32, Verdict)> {
        if let Some(request) = self.line.pop_expired(now) {
            return Some((request, Verdict::Refuse));
        }
        if self.line.is_empty() || !self.may_send(now) {
            return None;
        }
        self.line.pop().map(|request| (request, Verdict::Start))
    }

    fn next_wakeup(&self) -> Option<Duration> {
        let expiry = self.line.next_expiry()?;
        Some(self.bucket.ready_at().map_or(expiry, |ready| ready.min(expiry)))
    }

    fn waiting(&self) -> usize {
        self.line.len()
    }

    // It lives in the page's memory.
    fn reload(&mut self, _random: &mut Random, now: Duration) {
        self.line.clear();
        self.cubic = Cubic { halves: (now.as_secs_f64() * 2.0).floor(), ..Cubic::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schemes::tests::{constant, run};

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
    fn few_clients_go_up_and_down_below_the_capacity() {
        let report = run(&constant(10, 3.0, 40), "aws");
        assert!(report.arrivals < 1.0 && report.rejected < 0.05, "{} {}", report.arrivals, report.rejected);
        assert!(report.variation > 0.2, "{}", report.variation);
    }

    #[test]
    fn the_smallest_rate_of_many_clients_is_more_than_the_capacity() {
        let report = run(&constant(1600, 10.0, 40), "aws");
        assert!(report.arrivals > 1.6, "{}", report.arrivals);
    }
}
