//! The adaptive throttle of Google's Site Reliability Engineering book (chapter "Handling Overload"): each client drops
//! some of its own requests, by what it has seen accepted in the last two minutes.
//!
//! It cuts arrivals to about `K` times the accepted ones, and no further: at `K = 2` half of all arrivals are rejected
//! at any overload. A client learns only from its own requests. One that sends every few seconds needs minutes to learn,
//! forgets an overload as slowly, and ends up with a share that its first answers decided.

mod law;

use std::time::Duration;

use poolgate_sim::{
    random::{Random, Stream},
    scenario::Scenario,
    scheme::{Client, Limiter, Message, Outcome, Publisher, Scheme, Verdict},
    schemes::{PoolgateGate, Silence},
};

pub use self::law::ClientThrottle;

pub(crate) struct Sre;

impl Scheme for Sre {
    fn name(&self) -> &'static str {
        "sre"
    }

    fn about(&self) -> &'static str {
        "Google SRE's client throttle, K = 2 over 2 minutes, and the CoDel gate"
    }

    fn limiter(&self, scenario: &Scenario) -> Box<dyn Limiter> {
        Box::new(PoolgateGate::new(scenario))
    }

    fn publisher(&self, _scenario: &Scenario, _epoch: u64) -> Box<dyn Publisher> {
        Box::new(Silence)
    }

    fn client(&self, _scenario: &Scenario, seed: u64) -> Box<dyn Client> {
        Box::new(Dropper { throttle: ClientThrottle::default(), random: Random::new(seed, Stream::Clients) })
    }
}

struct Dropper {
    throttle: ClientThrottle,
    random: Random,
}

impl Client for Dropper {
    fn submit(&mut self, _request: u32, now: Duration) -> Verdict {
        let chance = self.random.unit();
        if self.throttle.lets_out(now, chance) { Verdict::Start } else { Verdict::Refuse }
    }

    fn abort(&mut self, _request: u32, _now: Duration) {}

    fn complete(&mut self, _request: u32, outcome: Outcome, now: Duration) {
        if outcome == Outcome::Served {
            self.throttle.accept(now);
        }
    }

    fn hear(&mut self, _message: &Message, _now: Duration) {}

    fn poll(&mut self, _now: Duration) -> Option<(u32, Verdict)> {
        None
    }

    fn next_wakeup(&self) -> Option<Duration> {
        None
    }

    fn waiting(&self) -> usize {
        0
    }

    // The law lives in the page's memory.
    fn reload(&mut self, _random: &mut Random, _now: Duration) {
        self.throttle = ClientThrottle::default();
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::{constant, run};

    #[test]
    fn arrivals_settle_at_twice_what_is_accepted() {
        let report = run(&constant(20, 10.0, 60), "sre");
        let accepted = report.arrivals * (1.0 - report.rejected);
        assert!((1.8..2.3).contains(&(report.arrivals / accepted)), "{} / {accepted}", report.arrivals);
    }
}
