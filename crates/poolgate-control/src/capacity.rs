//! What the database can serve, by Little's law: slots / mean time a slot is held.
//!
//! The number of slots is known, so capacity needs no probing and no estimate of an unloaded latency.

use std::time::Duration;

use crate::{average::Average, sample::Sample};

/// Weight of history in the mean hold time; short, so that a database that slows down is noticed within a second.
const TIME_CONSTANT: Duration = Duration::from_secs(1);

/// Least hold time that is believed, so that capacity stays finite.
const LEAST_HOLD: f64 = 1e-5;

#[derive(Clone, Debug)]
pub(crate) struct Capacity {
    slots: u32,
    mean_hold: Average,
    /// For how long every slot has been busy without one being given back: holds are at least this long by now, though
    /// none of them has ended and been counted.
    stalled: Duration,
}

impl Capacity {
    pub(crate) const fn new() -> Self {
        Self { slots: 0, mean_hold: Average::new(TIME_CONSTANT), stalled: Duration::ZERO }
    }

    pub(crate) fn update(&mut self, sample: &Sample, elapsed: Duration) {
        self.slots = sample.gate.permits.min(sample.pool.capacity);
        if sample.completed > 0 {
            let mean = sample.hold_total.as_secs_f64() / sample.completed as f64;
            self.mean_hold.update(mean.max(LEAST_HOLD), elapsed);
        }
        let busy = self.slots > 0 && sample.gate.in_flight >= self.slots;
        self.stalled = if busy && sample.completed == 0 { self.stalled + elapsed } else { Duration::ZERO };
    }

    /// Requests a second; `None` until something is known about hold times.
    pub(crate) fn per_second(&self) -> Option<f64> {
        let hold = self.mean_hold();
        (hold > 0.0).then(|| f64::from(self.slots.max(1)) / hold)
    }

    /// Mean time that a gate permit is held, in seconds; zero while unknown.
    pub(crate) fn mean_hold(&self) -> f64 {
        self.mean_hold.value().unwrap_or_default().max(self.stalled.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{GateSample, PoolSample};

    #[test]
    fn the_smaller_of_gate_and_pool_over_the_mean_hold() {
        let mut capacity = Capacity::new();
        assert_eq!(capacity.per_second(), None);
        let sample = Sample {
            pool: PoolSample { capacity: 30, ..PoolSample::default() },
            gate: GateSample { permits: 25, ..GateSample::default() },
            completed: 4,
            hold_total: Duration::from_millis(200),
            ..Sample::default()
        };
        capacity.update(&sample, Duration::from_millis(100));
        assert!((capacity.per_second().unwrap() - 500.0).abs() < 1e-6);
    }

    #[test]
    fn slots_that_never_come_back_lower_capacity_although_no_hold_was_counted() {
        let mut capacity = Capacity::new();
        let sample = Sample {
            pool: PoolSample { capacity: 30, ..PoolSample::default() },
            gate: GateSample { permits: 25, in_flight: 25, ..GateSample::default() },
            ..Sample::default()
        };
        for _ in 0..50 {
            capacity.update(&sample, Duration::from_millis(100));
        }
        assert!((capacity.per_second().unwrap() - 5.0).abs() < 1e-6);
    }
}
