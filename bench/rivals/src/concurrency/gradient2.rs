//! Netflix's Gradient2: a limit on requests in flight that falls when round trips take longer than they have lately.
//!
//! The baseline is an average over the overload that it should detect: after a few hundred samples a standing queue is
//! normal. The default of the smallest limit, 20, is as large as a whole pool, and each step adds 4: requests always
//! queue for a connection. It limits requests in flight at the server and tells the clients nothing: rejecting ten times
//! the capacity takes the processor time that the database needs.

use super::limit::{Limit, Trip};

/// Samples in the baseline, and samples with which it begins.
const WINDOW: f64 = 600.0;
const WARM_UP: f64 = 10.0;
/// A round trip may take this multiple of the baseline.
const TOLERANCE: f64 = 1.5;
const SMOOTHING: f64 = 0.2;
/// Added to the limit at each step.
const QUEUE: f64 = 4.0;
/// The baseline falls to this share when it is more than twice the sample.
const DECAY: f64 = 0.95;

#[derive(Clone, Copy, Debug)]
pub(super) struct Gradient2 {
    limit: f64,
    least: f64,
    most: f64,
    /// Seconds.
    baseline: f64,
    samples: f64,
}

impl Gradient2 {
    /// Begins with a limit of 20, never less, at most 200.
    pub(super) const DEFAULT: Self = Self { limit: 20.0, least: 20.0, most: 200.0, baseline: 0.0, samples: 0.0 };

    /// Begins with the limit `most`.
    pub(super) fn between(least: u32, most: u32) -> Self {
        Self { limit: most.into(), least: least.into(), most: most.into(), ..Self::DEFAULT }
    }

    fn update_baseline(&mut self, sample: f64) {
        let weight = if self.samples < WARM_UP { 1.0 / (self.samples + 1.0) } else { 2.0 / (WINDOW + 1.0) };
        self.samples += 1.0;
        self.baseline += (sample - self.baseline) * weight;
    }
}

impl Limit for Gradient2 {
    fn limit(&self) -> u32 {
        self.limit as u32
    }

    fn sample(&mut self, trip: Trip) {
        let sample = trip.took.as_secs_f64().max(f64::MIN_POSITIVE);
        self.update_baseline(sample);
        let ratio = self.baseline / sample;
        if ratio > 2.0 {
            self.baseline *= DECAY;
        }
        if f64::from(trip.in_flight) < self.limit / 2.0 {
            return;
        }
        let gradient = (TOLERANCE * ratio).clamp(0.5, 1.0);
        let step = self.limit * gradient + QUEUE - self.limit;
        self.limit = (self.limit + SMOOTHING * step).clamp(self.least, self.most);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tests::{constant, run};

    const NORMAL: Duration = Duration::from_millis(50);

    fn trip(took: Duration, in_flight: u32) -> Trip {
        Trip { took, in_flight, ..Trip::default() }
    }

    #[test]
    fn steady_round_trips_let_the_limit_grow_to_its_end() {
        let mut law = Gradient2::DEFAULT;
        for _ in 0..1000 {
            law.sample(trip(NORMAL, law.limit()));
        }
        assert_eq!(law.limit(), 200);
    }

    #[test]
    fn round_trips_far_beyond_the_baseline_cut_it_to_the_least() {
        let mut law = Gradient2 { limit: 100.0, ..Gradient2::DEFAULT };
        for _ in 0..100 {
            law.sample(trip(NORMAL, 10));
        }
        for _ in 0..50 {
            law.sample(trip(10 * NORMAL, law.limit()));
        }
        assert_eq!(law.limit(), 20);
    }

    #[test]
    fn the_baseline_gets_used_to_an_overload() {
        let mut law = Gradient2 { limit: 100.0, ..Gradient2::DEFAULT };
        for _ in 0..3000 {
            law.sample(trip(NORMAL, 10));
        }
        for _ in 0..3000 {
            law.sample(trip(4 * NORMAL, law.limit()));
        }
        assert_eq!(law.limit(), 200);
    }

    #[test]
    fn nothing_changes_while_less_than_half_is_in_use() {
        let mut law = Gradient2::DEFAULT;
        law.sample(trip(NORMAL, 9));
        assert_eq!(law.limit(), 20);
    }

    #[test]
    fn the_default_lets_a_queue_stand_before_the_pool_and_the_tuned_one_does_not() {
        let scenario = constant(100, 2.0, 40);
        let (default, tuned) = (run(&scenario, "gradient2"), run(&scenario, "gradient2-tuned"));
        assert!(default.wait.0 > 0.03, "{:?}", default.wait);
        assert!(tuned.wait.0 < 0.01, "{:?}", tuned.wait);
        assert!(default.goodput > 0.7 && tuned.goodput > 0.7, "{} {}", default.goodput, tuned.goodput);
    }
}
