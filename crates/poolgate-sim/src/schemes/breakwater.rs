//! Breakwater (OSDI 2020): a request needs a credit, and the server gives out as many as keep the wait at a target.
//! Each answer carries what its client may have on its way; a request that comes while the first in line has waited for
//! twice the target is rejected. The [law](super::credits) is that of the artifact's server, its guess at demand
//! included.
//!
//! It is made for round trips of 10 us. The pool of credits grows by a thousandth of a credit per client and round
//! trip: over 50 ms that is a credit in 5 seconds for ten clients, and until then the database idles. What is tuned for
//! that way holds the peak, at the price of a line that always stands. Whoever answers first takes all credits that are
//! spare, and gives them back one by one as everybody does, so that shares drift apart: nothing in the law brings them
//! together. A credit of a client that wants something every few seconds lies idle, and many of those that come back at
//! once are chance: the reject at twice the target has to hold the line.

use std::time::Duration;

use poolgate_control::Sample;

use super::{
    credits::{Credits, Settings},
    fifo::Fifo,
    line::{Line, Order},
};
use crate::{
    random::{Random, seconds},
    scenario::Scenario,
    scheme::{
        Admission, Arrival, Client, Limiter, Message, Occupancy, Orders, Outcome, Publisher, Reply, Scheme, Tell,
        Verdict,
    },
};

/// Breakwater with its constants.
pub(super) struct Breakwater {
    name: &'static str,
    about: &'static str,
    increase: f64,
    decrease: f64,
    /// The wait that is wanted, as a multiple of how long an answer takes when nobody waits.
    target: f64,
    keeps_last: bool,
    order: Order,
}

impl Breakwater {
    /// The paper's constants. It sets the target to 40 % of the objective for an answer, and that to ten times what an
    /// answer takes when nobody waits.
    pub(super) const DEFAULT: Self = Self {
        name: "breakwater",
        about: "Breakwater's credits: A = 0.001, B = 0.02",
        increase: 0.001,
        decrease: 0.02,
        target: 4.0,
        keeps_last: true,
        order: Order::OldestFirst,
    };
    /// For round trips of 50 ms: the best of a sweep over A, B and the target. A client may lose its last credit, as in
    /// the paper, so that each gets its turn.
    pub(super) const TUNED: Self = Self {
        name: "breakwater-tuned",
        about: "Breakwater's credits, tuned for round trips of 50 ms",
        increase: 0.01,
        decrease: 0.1,
        target: 1.0,
        keeps_last: false,
        order: Order::NewestFirst,
    };

    fn settings(&self, scenario: &Scenario) -> Settings {
        Settings {
            round_trip: round_trip(scenario),
            increase: self.increase,
            decrease: self.decrease,
            target: quickest_answer(scenario).mul_f64(self.target),
            keeps_last: self.keeps_last,
        }
    }

    /// What has waited longer in the browser would be answered too late if it waited in the server's line as well.
    fn patience(&self, scenario: &Scenario) -> Duration {
        let deadline = Duration::from_millis(scenario.users.deadline_ms);
        let at_the_server = quickest_answer(scenario).mul_f64(2.0 * self.target + 4.0);
        scenario.queue_timeout().min(deadline.saturating_sub(at_the_server))
    }
}

fn round_trip(scenario: &Scenario) -> Duration {
    seconds(2.0 * scenario.network.one_way_ms / 1000.0).max(Duration::from_micros(10))
}

/// How long an answer takes when nobody waits.
fn quickest_answer(scenario: &Scenario) -> Duration {
    round_trip(scenario) + seconds(scenario.database.mean_ms / 1000.0)
}

impl Scheme for Breakwater {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn limiter(&self, scenario: &Scenario) -> Box<dyn Limiter> {
        let line = Fifo::new(scenario.database.connections, 100_000, Duration::from_secs(30));
        Box::new(Impatient { line, longest_wait: 2 * self.settings(scenario).target })
    }

    fn publisher(&self, scenario: &Scenario, _epoch: u64) -> Box<dyn Publisher> {
        Box::new(Issuer { credits: Credits::new(self.settings(scenario), scenario.database.connections) })
    }

    fn client(&self, scenario: &Scenario, _seed: u64) -> Box<dyn Client> {
        Box::new(Spender { credits: 0, away: 0, line: Line::new(self.patience(scenario), self.order) })
    }
}

/// A line that takes nobody in while its first has waited for too long.
struct Impatient {
    line: Fifo,
    longest_wait: Duration,
}

impl Limiter for Impatient {
    fn arrive(&mut self, arrival: Arrival, now: Duration) -> Admission {
        if self.line.occupancy(now).oldest_wait >= self.longest_wait {
            Admission::Reject
        } else {
            self.line.arrive(arrival, now)
        }
    }

    fn release(&mut self, client: Option<u32>, held: Duration, answered: bool, now: Duration) -> Option<u32> {
        self.line.release(client, held, answered, now)
    }

    fn shed(&mut self, now: Duration) -> Option<u32> {
        self.line.shed(now)
    }

    fn next_expiry(&self) -> Option<Duration> {
        self.line.next_expiry()
    }

    fn occupancy(&self, now: Duration) -> Occupancy {
        self.line.occupancy(now)
    }
}

struct Issuer {
    credits: Credits,
}

impl Issuer {
    fn advance(&mut self, wait: Duration, now: Duration, tell: &mut Tell) {
        self.credits.advance(wait, now, |client, credits| tell.one.push((client, Message::Credits(credits))));
    }
}

impl Publisher for Issuer {
    fn tick(&mut self, _sample: &Sample, occupancy: &Occupancy, now: Duration, tell: &mut Tell) -> Orders {
        self.advance(occupancy.oldest_wait, now, tell);
        Orders::default()
    }

    fn current(&mut self, client: u32) -> Option<Message> {
        Some(Message::Credits(self.credits.of(client)))
    }

    fn arrived(&mut self, client: u32, demand: f64, _now: Duration) {
        // The request itself is not among those that wait behind it.
        self.credits.arrived(client, (demand - 1.0).max(0.0) as u32);
    }

    fn answering(&mut self, reply: &Reply, now: Duration, tell: &mut Tell) -> Option<Message> {
        self.advance(reply.occupancy.oldest_wait, now, tell);
        let rejected = matches!(reply.outcome, Outcome::Rejected { .. });
        Some(Message::Credits(self.credits.answered(reply.client, rejected)))
    }
}

struct Spender {
    credits: u32,
    away: u32,
    line: Line,
}

impl Client for Spender {
    fn submit(&mut self, request: u32, now: Duration) -> Verdict {
        if self.line.is_empty() && self.away < self.credits {
            self.away += 1;
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

    fn complete(&mut self, _request: u32, _outcome: Outcome, _now: Duration) {
        self.away = self.away.saturating_sub(1);
    }

    fn hear(&mut self, message: &Message, _now: Duration) {
        if let Message::Credits(credits) = message {
            self.credits = *credits;
        }
    }

    fn poll(&mut self, now: Duration) -> Option<(u32, Verdict)> {
        if let Some(request) = self.line.pop_expired(now) {
            return Some((request, Verdict::Refuse));
        }
        if self.away >= self.credits {
            return None;
        }
        let request = self.line.pop()?;
        self.away += 1;
        Some((request, Verdict::Start))
    }

    fn next_wakeup(&self) -> Option<Duration> {
        self.line.next_expiry()
    }

    fn waiting(&self) -> usize {
        self.line.len()
    }

    fn reload(&mut self, _random: &mut Random, _now: Duration) {
        self.line.clear();
        self.away = 0;
    }
}

#[cfg(test)]
mod tests {
    use crate::schemes::tests::{constant, run};

    #[test]
    fn where_a_round_trip_is_as_short_as_a_query_it_holds_the_peak_and_hardly_rejects() {
        let mut scenario = constant(100, 2.0, 30);
        scenario.database.mean_ms = 5.0;
        scenario.network.one_way_ms = 2.5;
        scenario.network.push_ms = 2.5;
        scenario.server.request_us = 1.0;
        for name in ["breakwater", "breakwater-tuned"] {
            let report = run(&scenario, name);
            assert!(report.goodput > 0.97, "{name} {}", report.goodput);
            assert!(report.rejected < 0.05, "{name} {}", report.rejected);
            assert!(report.variation < 0.05, "{name} {}", report.variation);
        }
    }

    #[test]
    fn over_a_long_way_credits_grow_too_slowly_unless_tuned() {
        let scenario = constant(10, 3.0, 40);
        let (default, tuned) = (run(&scenario, "breakwater"), run(&scenario, "breakwater-tuned"));
        assert!(default.goodput < 0.8, "{}", default.goodput);
        assert!(tuned.goodput > 0.95, "{}", tuned.goodput);
        assert!(tuned.arrivals < 1.05, "{}", tuned.arrivals);
    }
}
