//! Netflix's Vegas: a limit on requests in flight. It estimates from the shortest known round trip how many of them wait.
//!
//! The shortest of single round trips is that of the cheapest query, not that of an idle database: where some queries
//! take ten times as long as others, nearly all seem to wait, and the limit falls to a third of the pool. Averages over a
//! second cure that and show the next weakness: the shortest trip is measured again under load, and the queue becomes
//! normal. It limits requests in flight at the server and tells the clients nothing: rejecting ten times the capacity
//! takes the processor time that the database needs, queries take longer, and that looks like a queue too.

use std::time::Duration;

use poolgate_sim::random::{Random, Stream};

use super::limit::{Limit, Trip};

/// The shortest round trip is measured again after at most this many samples per request of the limit.
const PROBE: f64 = 30.0;

#[derive(Clone, Debug)]
pub(super) struct Vegas {
    limit: f64,
    most: f64,
    least_round_trip: Option<Duration>,
    samples: f64,
    jitter: f64,
    random: Random,
}

impl Vegas {
    /// Begins with a limit of 20, at most 1,000.
    pub(super) fn standard() -> Self {
        Self::between(20, 1000)
    }

    pub(super) fn between(first: u32, most: u32) -> Self {
        let mut random = Random::new(0, Stream::Server);
        let jitter = random.between(0.5, 1.0);
        Self { limit: first.into(), most: most.into(), least_round_trip: None, samples: 0.0, jitter, random }
    }

    fn is_probe(&mut self) -> bool {
        self.samples += 1.0;
        let due = self.jitter * PROBE * self.limit <= self.samples;
        if due {
            self.samples = 0.0;
            self.jitter = self.random.between(0.5, 1.0);
        }
        due
    }

    fn next_limit(&self, queue: f64, trip: &Trip) -> f64 {
        let step = self.limit.log10().floor().max(1.0);
        if trip.dropped {
            self.limit - step
        } else if f64::from(trip.in_flight) * 2.0 < self.limit {
            self.limit
        } else if queue <= step {
            self.limit + 6.0 * step
        } else if queue < 3.0 * step {
            self.limit + step
        } else if queue > 6.0 * step {
            self.limit - step
        } else {
            self.limit
        }
    }
}

impl Limit for Vegas {
    fn limit(&self) -> u32 {
        self.limit as u32
    }

    fn sample(&mut self, trip: Trip) {
        let probe = self.is_probe();
        let least = match self.least_round_trip {
            Some(least) if !probe && trip.took >= least => least,
            _ => {
                self.least_round_trip = Some(trip.took);
                return;
            }
        };
        let queue = (self.limit * (1.0 - least.as_secs_f64() / trip.took.as_secs_f64())).ceil();
        self.limit = self.next_limit(queue, &trip).clamp(1.0, self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{constant, run};

    const IDLE: Duration = Duration::from_millis(50);

    /// Round trips as a pool of 20 connections makes them, all queries alike.
    fn settle(law: &mut Vegas, samples: usize) {
        for _ in 0..samples {
            let in_flight = law.limit();
            let took = IDLE.mul_f64((f64::from(in_flight) / 20.0).max(1.0));
            law.sample(Trip { took, in_flight, ..Trip::default() });
        }
    }

    #[test]
    fn the_queue_settles_between_alpha_and_beta() {
        let mut law = Vegas::standard();
        settle(&mut law, 300);
        assert!((23..=27).contains(&law.limit()), "{}", law.limit());
    }

    #[test]
    fn probes_under_load_take_the_queue_for_normal() {
        let mut law = Vegas::standard();
        settle(&mut law, 100_000);
        assert!(law.limit() > 100, "{}", law.limit());
    }

    #[test]
    fn a_drop_cuts_the_limit_by_a_step() {
        let mut law = Vegas::standard();
        let trip = Trip { took: IDLE, in_flight: 20, ..Trip::default() };
        law.sample(trip);
        law.sample(Trip { dropped: true, ..trip });
        assert_eq!(law.limit(), 19);
    }

    #[test]
    fn single_round_trips_of_unlike_queries_cut_the_limit_to_a_third_of_the_pool() {
        let scenario = constant(100, 2.0, 40);
        let (default, tuned) = (run(&scenario, "vegas"), run(&scenario, "vegas-tuned"));
        assert!(default.goodput < 0.6, "{}", default.goodput);
        assert!(tuned.goodput > 0.8, "{}", tuned.goodput);
    }
}
