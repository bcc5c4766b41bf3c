//! What the database can serve, by Little's law: slots / mean time a slot is held.
//!
//! The number of slots is known, so capacity needs no estimate of an unloaded latency. The mean hold time
//! is Little's law again: slots in use, summed over time, per request that ended. Unlike the mean of the holds that have
//! ended, it counts those that have not: a database that has become slow shows before its slow requests end.

use std::time::Duration;

use crate::{ratio::RecentRatio, sample::Sample};

/// Least hold time that is believed, so that capacity stays finite.
const LEAST_HOLD: f64 = 1e-5;

#[derive(Clone, Debug)]
pub(crate) struct Capacity {
    slots: u32,
    in_use: u32,
    hold: RecentRatio,
}

impl Capacity {
    pub(crate) fn new() -> Self {
        Self { slots: 0, in_use: 0, hold: RecentRatio::default() }
    }

    /// Takes in what happened during `elapsed`; from now on so many slots may be in use.
    pub(crate) fn update(&mut self, sample: &Sample, slots: u32, elapsed: Duration) {
        self.slots = slots;
        let in_use = f64::midpoint(self.in_use.into(), sample.gate.in_flight.into());
        self.in_use = sample.gate.in_flight;
        self.hold.add(in_use * elapsed.as_secs_f64(), sample.completed as f64, elapsed);
    }

    /// Requests a second; `None` until something is known about hold times.
    pub(crate) fn per_second(&self) -> Option<f64> {
        let hold = self.mean_hold();
        (hold > 0.0).then(|| f64::from(self.slots.max(1)) / hold)
    }

    /// Mean time that a gate permit is held, in seconds; zero while unknown.
    pub(crate) fn mean_hold(&self) -> f64 {
        self.hold.value().map_or(0.0, |hold| hold.max(LEAST_HOLD))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{GateSample, PoolSample};

    fn tick(in_flight: u32, completed: u64) -> Sample {
        Sample {
            pool: PoolSample { capacity: 30, ..PoolSample::default() },
            gate: GateSample { permits: 25, in_flight, ..GateSample::default() },
            completed,
            ..Sample::default()
        }
    }

    fn run(capacity: &mut Capacity, ticks: u32, sample: &Sample) -> Option<f64> {
        (0..ticks).for_each(|_| capacity.update(sample, 25, Duration::from_millis(100)));
        capacity.per_second()
    }

    #[test]
    fn the_smaller_of_gate_and_pool_over_the_mean_hold() {
        let mut capacity = Capacity::new();
        assert_eq!(capacity.per_second(), None);
        // Two in flight, 40 end in a second: 50 ms each.
        let per_second = run(&mut capacity, 100, &tick(2, 4)).unwrap();
        assert!((per_second - 500.0).abs() < 1.0, "{per_second}");
    }

    #[test]
    fn slots_that_never_come_back_lower_capacity_although_no_hold_has_ended() {
        let mut capacity = Capacity::new();
        run(&mut capacity, 100, &tick(25, 50));
        let per_second = run(&mut capacity, 20, &tick(25, 0)).unwrap();
        assert!(per_second < 25.0, "{per_second}");
    }
}
