//! What the search does on databases that a test makes up.

use super::*;
use crate::sample::{GateSample, PoolSample};

const TICK: Duration = Duration::from_millis(100);

/// A database of 20 slots and 50 ms that does best with `knee` requests at a time. Beyond, everything takes longer by
/// the square of the excess.
struct Overload {
    limit: ConcurrencyLimit,
    knee: f64,
    slowdown: f64,
    now: Duration,
    in_force: u32,
    done: f64,
}

impl Overload {
    fn new(knee: u32) -> Self {
        let mut world = Self {
            limit: ConcurrencyLimit::new(),
            knee: knee.into(),
            slowdown: 1.0,
            now: Duration::ZERO,
            in_force: 20,
            done: 0.0,
        };
        // What is learned while there is less to do.
        (0..100).for_each(|_| world.tick(8, false));
        world
    }

    fn tick(&mut self, wanted: u32, limited: bool) {
        self.now += TICK;
        let in_flight = wanted.min(self.in_force);
        let crowd = (f64::from(in_flight) / self.knee).max(1.0);
        let hold = 0.05 * self.slowdown * crowd * crowd;
        let completed = f64::from(in_flight) / hold * TICK.as_secs_f64();
        let sample = Sample {
            pool: PoolSample { capacity: 30, ..PoolSample::default() },
            gate: GateSample { permits: 20, in_flight, ..GateSample::default() },
            completed: completed.round() as u64,
            ..Sample::default()
        };
        self.done += completed;
        self.in_force = self.limit.update(&sample, hold, limited, self.now, TICK).unwrap_or(20);
    }

    /// Requests done in `seconds` of overload, as a share of what is possible.
    fn share(&mut self, seconds: u32) -> f64 {
        self.done = 0.0;
        (0..10 * seconds).for_each(|_| self.tick(100, true));
        self.done / (self.knee.min(20.0) / 0.05 / self.slowdown * f64::from(seconds))
    }
}

#[test]
fn a_database_that_does_less_the_more_it_works_on_gets_less_at_a_time() {
    let mut world = Overload::new(10);
    world.share(20);
    assert!((8..=12).contains(&world.in_force), "{}", world.in_force);
    assert!(world.share(60) > 0.9, "in force {}", world.in_force);
}

#[test]
fn one_that_does_more_keeps_all_slots() {
    let mut world = Overload::new(100);
    assert!(world.share(60) > 0.999);
    assert_eq!(world.in_force, 20);
}

#[test]
fn one_that_has_become_slow_for_another_reason_keeps_them_but_for_short_tries_that_cost_half_a_percent() {
    let mut world = Overload::new(100);
    world.slowdown = 4.0;
    let first = world.share(200);
    assert!((0.99..0.9999).contains(&first), "there is a try: {first}");
    assert_eq!(world.in_force, 20);
    assert!(world.share(3600) > 0.995);
}

#[test]
fn there_is_no_try_at_a_constant_hold() {
    for learns in [true, false] {
        let mut world = Overload::new(100);
        if !learns {
            world.limit = ConcurrencyLimit::new();
        }
        for tick in 0..6000 {
            world.tick(100, true);
            assert_eq!(world.in_force, 20, "after {tick} ticks");
        }
    }
}

#[test]
fn there_is_no_try_when_a_busy_machine_makes_requests_slow_while_the_gate_is_full() {
    let mut world = Overload::new(100);
    (0..200).for_each(|_| world.tick(100, true));
    for tick in 0..6000 {
        world.slowdown = if tick % 100 < 50 { 3.0 } else { 1.5 };
        world.tick(100, true);
        assert_eq!(world.in_force, 20, "after {tick} ticks");
    }
}

#[test]
fn the_slots_come_back_with_the_throughput() {
    let mut world = Overload::new(10);
    world.share(20);
    world.knee = 100.0;
    assert!(world.share(300) > 0.5);
    assert_eq!(world.in_force, 20);
}

#[test]
fn and_when_there_is_nothing_to_do() {
    let mut world = Overload::new(10);
    world.share(20);
    (0..700).for_each(|_| world.tick(2, false));
    assert_eq!(world.in_force, 20);
}

#[test]
fn a_try_that_brought_nothing_limits_no_larger_pool() {
    let mut world = Overload::new(100);
    world.slowdown = 4.0;
    world.share(30);
    let sample = Sample {
        pool: PoolSample { capacity: 60, ..PoolSample::default() },
        gate: GateSample { permits: 40, in_flight: 40, ..GateSample::default() },
        completed: 20,
        ..Sample::default()
    };
    assert_eq!(world.limit.update(&sample, 0.2, true, world.now + TICK, TICK), None);
}

#[test]
fn one_slot_stays_one() {
    let mut limit = ConcurrencyLimit::new();
    let sample = Sample {
        pool: PoolSample { capacity: 1, ..PoolSample::default() },
        gate: GateSample { permits: 1, in_flight: 1, ..GateSample::default() },
        completed: 500,
        ..Sample::default()
    };
    for tick in 1..1000 {
        assert_eq!(limit.update(&sample, 0.001, true, TICK * tick, TICK), None);
    }
}
