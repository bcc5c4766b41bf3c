//! The capacity of the database, by Little's law: slots / mean time for which a slot is held.
//!
//! The number of slots is known, so the capacity needs no estimate of an unloaded latency. The [mean hold time](crate::hold)
//! follows from Little's law as well. Unlike the mean of the completed holds, it includes those in progress, so a slow
//! database shows before its slow requests end.
//!
//! An admitted request that waits for a connect uses no slot, because the database does not work for it. A place in the
//! pool is no slot if no connection can be opened for it.

use std::time::Duration;

use poolgate_types::CircuitState;

use crate::{hold::Hold, places::Places, sample::Sample};

/// Lower bound of the hold time in seconds, so that the capacity stays finite.
const LEAST_HOLD: f64 = 1e-5;

#[derive(Clone, Debug)]
pub(crate) struct Capacity {
    slots: u32,
    /// Slots before the concurrency limit, and the factor of their last change.
    connected: Option<u32>,
    growth: f64,
    places: Places,
    hold: Hold,
}

impl Capacity {
    pub(crate) fn new() -> Self {
        Self { slots: 0, connected: None, growth: 1.0, places: Places::default(), hold: Hold::default() }
    }

    /// Takes in what happened during `elapsed`, with this circuit breaker. At most `limit` slots may be in use from now on.
    pub(crate) fn update(
        &mut self,
        sample: &Sample,
        limit: u32,
        circuit: CircuitState,
        now: Duration,
        elapsed: Duration,
    ) {
        let mut in_flight = sample.gate.in_flight;
        let mut connected = sample.slots();
        // Requests that a pooler shows as in flight have a connection, and behind an app they may need none.
        if sample.source.is_some() {
            in_flight = in_flight.min(connected);
        } else if !sample.gate.patient {
            self.places.update(&sample.pool, now);
            connected = self.places.of(connected);
            in_flight = in_flight.saturating_sub(sample.pool.unserved()).min(connected);
        }
        self.growth = self.connected.map_or(1.0, |before| f64::from(connected) / f64::from(before));
        self.connected = Some(connected);
        self.slots = limit.min(connected);
        self.hold.update(in_flight, sample.completed, circuit, now, elapsed);
    }

    /// Requests a second; `None` while hold times are unknown.
    pub(crate) fn per_second(&self) -> Option<f64> {
        let hold = self.mean_hold();
        (hold > 0.0).then(|| f64::from(self.slots.max(1)) / hold)
    }

    /// Requests a second, if all requests in progress are about to end. At the start and after a change this is well
    /// above [`per_second`](Self::per_second), which counts the time that those requests have taken but not yet the
    /// requests.
    pub(crate) fn at_best(&self) -> f64 {
        let hold = self.hold.at_least().unwrap_or_default();
        f64::from(self.slots.max(1)) / hold.max(LEAST_HOLD)
    }

    /// Relative standard deviation of the estimate while it is young.
    pub(crate) fn noise(&self) -> f64 {
        self.hold.noise()
    }

    /// Requests of which the law knows that they cannot be served at once, in slots: those in the queue, less the idle
    /// slots. Negative while slots are idle.
    pub(crate) fn backlog(&self, queued: u32) -> f64 {
        f64::from(queued) - f64::from(self.slots.saturating_sub(self.hold.in_use()))
    }

    /// The factor by which the slots have just changed, because the pool or the gate did. It is exact, so the rate can
    /// follow at once.
    pub(crate) fn growth(&self) -> f64 {
        self.growth
    }

    /// Whether many requests wait for connects that succeed.
    pub(crate) fn is_filling(&self) -> bool {
        self.places.are_filling()
    }

    /// Mean time for which a gate permit is held, without waits for a connect, in seconds; zero while unknown.
    pub(crate) fn mean_hold(&self) -> f64 {
        self.hold.mean().map_or(0.0, |hold| hold.max(LEAST_HOLD))
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
        (0..ticks).for_each(|_| {
            capacity.update(sample, u32::MAX, CircuitState::Closed, Duration::ZERO, Duration::from_millis(100))
        });
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

    /// 25 requests in flight, but only `open` connections, so the others wait for a connect.
    fn filling(open: u32, completed: u64) -> Sample {
        let mut sample = tick(25, completed);
        sample.pool = PoolSample { checked_out: open, open, waiting: 25 - open, ..sample.pool };
        sample
    }

    #[test]
    fn a_wait_for_a_connect_is_no_hold() {
        let mut capacity = Capacity::new();
        // Five connections, 50 ms each.
        let per_second = run(&mut capacity, 10, &filling(5, 10)).unwrap();
        assert!((per_second - 500.0).abs() < 30.0, "{per_second}");
        assert!(capacity.is_filling());
    }

    #[test]
    fn a_wait_for_connections_that_others_have_is_a_hold() {
        let mut capacity = Capacity::new();
        let mut sample = filling(5, 10);
        sample.pool = PoolSample { checked_out: 30, open: 30, waiting: 20, ..sample.pool };
        let per_second = run(&mut capacity, 100, &sample).unwrap();
        assert!((per_second - 100.0).abs() < 1.0, "{per_second}");
        assert!(!capacity.is_filling());
    }

    #[test]
    fn a_database_that_is_slow_while_connections_are_opened_shows() {
        let mut capacity = Capacity::new();
        run(&mut capacity, 10, &filling(10, 20));
        let per_second = run(&mut capacity, 10, &filling(20, 0)).unwrap();
        assert!(per_second < 50.0, "{per_second}");
    }

    #[test]
    fn a_gate_that_is_wider_than_the_pool_counts_no_slot_twice() {
        let mut capacity = Capacity::new();
        let mut sample = tick(25, 10);
        sample.pool = PoolSample { checked_out: 5, open: 5, capacity: 5, waiting: 20, ..sample.pool };
        let per_second = run(&mut capacity, 100, &sample).unwrap();
        assert!((per_second - 100.0).abs() < 1.0, "{per_second}");
    }

    #[test]
    fn slots_that_never_come_back_lower_capacity_although_no_hold_has_ended() {
        let mut capacity = Capacity::new();
        run(&mut capacity, 100, &tick(25, 50));
        let per_second = run(&mut capacity, 20, &tick(25, 0)).unwrap();
        assert!(per_second < 25.0, "{per_second}");
    }
}
