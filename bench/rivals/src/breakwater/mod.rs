//! Breakwater (OSDI 2020): a request needs a credit, and the server issues enough of them to keep the wait at a target.
//! Each answer carries its client's credits. A request that arrives while the first in line has waited for twice the
//! target is rejected. The [law](credits) is that of the artifact's server, its guess at demand
//! included.
//!
//! It is made for round trips of 10 us. The pool of credits grows by a thousandth of a credit per client and round
//! trip: at 50 ms that is a credit in 5 seconds for ten clients, and meanwhile the database idles. The variant tuned for
//! such round trips holds the peak, but a line always stands. The first client that is answered takes all spare credits
//! and gives them back one by one like all others, so shares drift apart and nothing in the law brings them together. The
//! credit of a client that sends every few seconds lies idle, and many idle credits may be used at once by chance: then
//! only the rejection at twice the target bounds the line.

mod credits;

use std::time::Duration;

use poolgate_control::Sample;
use poolgate_sim::{
    random::{Random, seconds},
    scenario::Scenario,
    scheme::{
        Admission, Arrival, Client, Limiter, Message, Occupancy, Orders, Outcome, Publisher, Reply, Scheme, Tell,
        Verdict,
    },
    schemes::Fifo,
};

use self::credits::{Credits, Settings};
use crate::line::{Line, Order};

/// Breakwater with its constants.
pub(crate) struct Breakwater {
    name: &'static str,
    about: &'static str,
    increase: f64,
    decrease: f64,
    /// The target wait, as a multiple of the time that an answer takes on an idle server.
    target: f64,
    keeps_last: bool,
    order: Order,
}

impl Breakwater {
    /// The paper's constants. Its target is 40 % of the objective for an answer, which is ten times the answer time of an
    /// idle server.
    pub(crate) const DEFAULT: Self = Self {
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
    pub(crate) const TUNED: Self = Self {
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

    /// A request that waits longer in the browser would be answered too late after the server's line.
    fn patience(&self, scenario: &Scenario) -> Duration {
        let deadline = Duration::from_millis(scenario.users.deadline_ms);
        let at_the_server = quickest_answer(scenario).mul_f64(2.0 * self.target + 4.0);
        scenario.queue_timeout().min(deadline.saturating_sub(at_the_server))
    }
}

fn round_trip(scenario: &Scenario) -> Duration {
    seconds(2.0 * scenario.network.one_way_ms / 1000.0).max(Duration::from_micros(10))
}

/// The answer time of an idle server.
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
        Box::new(Spender { wallet: Wallet::default(), line: Line::new(self.patience(scenario), self.order) })
    }
}

/// A line that takes no request in while its first has waited too long.
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
    wallet: Wallet,
    line: Line,
}

#[derive(Default)]
struct Wallet {
    credits: u32,
    in_flight: u32,
}

impl Wallet {
    /// Spends a credit if one is left.
    fn spend(&mut self) -> bool {
        let left = self.in_flight < self.credits;
        self.in_flight += u32::from(left);
        left
    }
}

impl Client for Spender {
    fn submit(&mut self, request: u32, now: Duration) -> Verdict {
        self.line.submit(request, now, || self.wallet.spend())
    }

    fn abort(&mut self, request: u32, _now: Duration) {
        self.line.remove(request);
    }

    fn complete(&mut self, _request: u32, _outcome: Outcome, _now: Duration) {
        self.wallet.in_flight = self.wallet.in_flight.saturating_sub(1);
    }

    fn hear(&mut self, message: &Message, _now: Duration) {
        if let Message::Credits(credits) = message {
            self.wallet.credits = *credits;
        }
    }

    fn poll(&mut self, now: Duration) -> Option<(u32, Verdict)> {
        self.line.poll(now, || self.wallet.spend())
    }

    fn next_wakeup(&self) -> Option<Duration> {
        self.line.next_expiry()
    }

    fn waiting(&self) -> usize {
        self.line.len()
    }

    fn reload(&mut self, _random: &mut Random, _now: Duration) {
        self.line.clear();
        self.wallet.in_flight = 0;
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::{constant, run};

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
