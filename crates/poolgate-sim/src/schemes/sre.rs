//! The adaptive throttle of Google's Site Reliability Engineering book (chapter "Handling Overload"): each client drops
//! some of its own requests, by what it has seen accepted in the last two minutes.
//!
//! It cuts arrivals to about `K` times what is accepted, and no further: at `K = 2` half of all arrivals are rejected
//! at any overload. A client learns only from its own requests, so that one with a request every few seconds needs
//! minutes to know anything, forgets an overload no sooner, and ends up with a share that its first luck decided.

use std::{collections::VecDeque, time::Duration};

use super::{poolgate::CoDel, silent::Silence};
use crate::{
    random::{Random, Stream},
    scenario::Scenario,
    scheme::{Client, Limiter, Message, Outcome, Publisher, Scheme, Verdict},
};

const WINDOW: Duration = Duration::from_secs(120);
const MULTIPLIER: f64 = 2.0;

pub(super) struct Sre;

impl Scheme for Sre {
    fn name(&self) -> &'static str {
        "sre"
    }

    fn about(&self) -> &'static str {
        "Google SRE's client throttle, K = 2 over 2 minutes, and the CoDel gate"
    }

    fn limiter(&self, scenario: &Scenario) -> Box<dyn Limiter> {
        Box::new(CoDel::new(scenario))
    }

    fn publisher(&self, _scenario: &Scenario, _epoch: u64) -> Box<dyn Publisher> {
        Box::new(Silence)
    }

    fn client(&self, _scenario: &Scenario, seed: u64) -> Box<dyn Client> {
        Box::new(Dropper { throttle: Throttle::default(), random: Random::new(seed, Stream::Clients) })
    }
}

/// The law: requests and accepts of the window, in steps of a second.
#[derive(Debug, Default)]
struct Throttle {
    steps: VecDeque<Step>,
    requests: f64,
    accepts: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Step {
    second: u64,
    requests: f64,
    accepts: f64,
}

impl Throttle {
    /// The chance that a request is dropped.
    fn drop_chance(&mut self, now: Duration) -> f64 {
        self.forget(now);
        ((self.requests - MULTIPLIER * self.accepts) / (self.requests + 1.0)).max(0.0)
    }

    /// The app wants to send a request; those that are dropped count too.
    fn request(&mut self, now: Duration) {
        self.step(now).requests += 1.0;
        self.requests += 1.0;
    }

    fn accept(&mut self, now: Duration) {
        self.step(now).accepts += 1.0;
        self.accepts += 1.0;
    }

    fn step(&mut self, now: Duration) -> &mut Step {
        let second = now.as_secs();
        if self.steps.back().is_none_or(|last| last.second != second) {
            self.steps.push_back(Step { second, ..Step::default() });
        }
        let last = self.steps.len() - 1;
        &mut self.steps[last]
    }

    fn forget(&mut self, now: Duration) {
        while let Some(step) = self.steps.front().copied()
            && step.second + WINDOW.as_secs() <= now.as_secs()
        {
            self.steps.pop_front();
            self.requests -= step.requests;
            self.accepts -= step.accepts;
        }
    }
}

struct Dropper {
    throttle: Throttle,
    random: Random,
}

impl Client for Dropper {
    fn submit(&mut self, _request: u32, now: Duration) -> Verdict {
        let drop_chance = self.throttle.drop_chance(now);
        self.throttle.request(now);
        if self.random.unit() < drop_chance { Verdict::Refuse } else { Verdict::Start }
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

    // It lives in the page's memory.
    fn reload(&mut self, _random: &mut Random, _now: Duration) {
        self.throttle = Throttle::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schemes::tests::{constant, run};

    #[test]
    fn nothing_is_dropped_while_half_is_accepted() {
        let mut throttle = Throttle::default();
        for second in 0..60 {
            let now = Duration::from_secs(second);
            throttle.request(now);
            throttle.request(now);
            throttle.accept(now);
            assert_eq!(throttle.drop_chance(now), 0.0);
        }
    }

    #[test]
    fn when_nothing_is_accepted_a_probe_gets_through_now_and_then() {
        let mut throttle = Throttle::default();
        for _ in 0..99 {
            throttle.request(Duration::ZERO);
        }
        assert_eq!(throttle.drop_chance(Duration::ZERO), 0.99);
    }

    #[test]
    fn what_is_two_minutes_old_is_forgotten() {
        let mut throttle = Throttle::default();
        throttle.request(Duration::ZERO);
        assert!(throttle.drop_chance(Duration::from_secs(119)) > 0.0);
        assert_eq!(throttle.drop_chance(Duration::from_secs(120)), 0.0);
    }

    #[test]
    fn arrivals_settle_at_twice_what_is_accepted() {
        let report = run(&constant(20, 10.0, 60), "sre");
        let accepted = report.arrivals * (1.0 - report.rejected);
        assert!((1.8..2.3).contains(&(report.arrivals / accepted)), "{} / {accepted}", report.arrivals);
    }
}
