//! The adaptive retry mode of the AWS SDKs: a bucket of tokens in each client, whose rate falls to 0.7 when a request
//! is rejected and grows back along a cubic curve. Its quota of 500 retry tokens never runs out here and is left out.
//!
//! A client knows only the fate of its own requests. Many clients each send at least the smallest rate of 0.5 a second,
//! even if all are rejected, and measure their rate over half seconds with one request or none. With few clients the
//! gate rejects several requests at once, each rejection cuts the rate again, and the curve takes seconds to lead back:
//! half of the capacity is lost in this sawtooth.

mod law;

use std::time::Duration;

use poolgate_sim::{
    random::Random,
    scenario::Scenario,
    scheme::{Client, Limiter, Message, Outcome, Publisher, Scheme, Verdict},
    schemes::{PoolgateGate, Silence},
};

pub use self::law::AdaptiveRetry;
use crate::line::{Line, Order};

pub(crate) struct Aws;

impl Scheme for Aws {
    fn name(&self) -> &'static str {
        "aws"
    }

    fn about(&self) -> &'static str {
        "AWS SDKs' adaptive retry mode (CUBIC), and the CoDel gate"
    }

    fn limiter(&self, scenario: &Scenario) -> Box<dyn Limiter> {
        Box::new(PoolgateGate::new(scenario))
    }

    fn publisher(&self, _scenario: &Scenario, _epoch: u64) -> Box<dyn Publisher> {
        Box::new(Silence)
    }

    fn client(&self, scenario: &Scenario, _seed: u64) -> Box<dyn Client> {
        let line = Line::new(scenario.queue_timeout(), Order::OldestFirst);
        Box::new(Paced { retry: AdaptiveRetry::default(), line })
    }
}

struct Paced {
    retry: AdaptiveRetry,
    line: Line,
}

impl Client for Paced {
    fn submit(&mut self, request: u32, now: Duration) -> Verdict {
        self.line.submit(request, now, || self.retry.take(now))
    }

    fn abort(&mut self, request: u32, _now: Duration) {
        self.line.remove(request);
    }

    fn complete(&mut self, _request: u32, outcome: Outcome, now: Duration) {
        self.retry.answered(matches!(outcome, Outcome::Rejected { .. }), now);
    }

    fn hear(&mut self, _message: &Message, _now: Duration) {}

    fn poll(&mut self, now: Duration) -> Option<(u32, Verdict)> {
        self.line.poll(now, || self.retry.take(now))
    }

    fn next_wakeup(&self) -> Option<Duration> {
        let expiry = self.line.next_expiry()?;
        Some(self.retry.ready_at().map_or(expiry, |ready| ready.min(expiry)))
    }

    fn waiting(&self) -> usize {
        self.line.len()
    }

    // The law lives in the page's memory.
    fn reload(&mut self, _random: &mut Random, now: Duration) {
        self.line.clear();
        self.retry.forget(now);
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::{constant, run};

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
