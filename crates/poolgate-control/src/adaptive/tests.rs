//! What the law does with arrivals, rejects and a queue that a test makes up.

use poolgate_types::CircuitState;

use super::*;
use crate::sample::{GateSample, PoolSample};

const TICK: Duration = Duration::from_millis(100);

/// 25 slots of 50 ms: 500 requests a second.
struct Gate {
    law: FairRate,
    capacity: Capacity,
    permits: u32,
    live_clients: u32,
    patient: bool,
    now: Duration,
    ticked_at: Duration,
}

impl Gate {
    fn new() -> Self {
        let law = FairRate::new(AdaptiveSettings::default());
        let (now, ticked_at) = (Duration::ZERO, Duration::ZERO);
        Self { law, capacity: Capacity::new(), permits: 25, live_clients: 100, patient: false, now, ticked_at }
    }

    fn tick(&mut self, arrivals: u64, rejected: u64, queued: u32) -> Option<f64> {
        let elapsed = self.now + TICK - mem::replace(&mut self.ticked_at, self.now + TICK);
        self.now += TICK;
        let sample = Sample {
            pool: PoolSample { capacity: 30, ..PoolSample::default() },
            gate: GateSample {
                permits: self.permits,
                in_flight: self.permits,
                queued,
                arrivals,
                rejected,
                patient: self.patient,
                ..GateSample::default()
            },
            completed: 2 * u64::from(self.permits),
            live_clients: self.live_clients,
            streaming_clients: self.live_clients,
            ..Sample::default()
        };
        self.capacity.update(&sample, u32::MAX, CircuitState::Closed, self.now, elapsed);
        self.law.update(&sample, &self.capacity, elapsed)
    }
}

#[test]
fn a_full_gate_without_excess_demand_is_no_reason_to_limit() {
    let mut gate = Gate::new();
    for _ in 0..600 {
        assert_eq!(gate.tick(50, 0, 10), None);
    }
}

#[test]
fn congestion_begins_with_a_guess_from_the_live_clients() {
    let mut gate = Gate::new();
    for _ in 0..10 {
        gate.tick(40, 0, 0);
    }
    let rate = (0..20).find_map(|_| gate.tick(400, 300, 20)).unwrap();
    assert!((rate / (1.05 * 500.0 / 100.0) - 1.0).abs() < 0.05, "{rate}");
}

#[test]
fn a_queue_that_grows_lowers_the_rate_within_a_tick_and_idle_slots_raise_it() {
    let mut gate = Gate::new();
    (0..10).for_each(|_| _ = gate.tick(40, 0, 0));
    (0..20).for_each(|_| _ = gate.tick(70, 20, 20));
    let mut rate = f64::NAN;
    (0..100).for_each(|_| rate = gate.tick(50, 1, 20).unwrap());
    // 25 requests more: a twentieth of a second's work, after half of a tick's other correction.
    let lower = gate.tick(50, 1, 45).unwrap();
    assert!((0.94..0.97).contains(&(lower / rate)), "{rate} {lower}");
    let higher = gate.tick(50, 1, 0).unwrap();
    assert!((1.07..1.12).contains(&(higher / lower)), "{lower} {higher}");
}

#[test]
fn the_rate_falls_while_too_much_arrives_but_not_below_the_least_share() {
    let mut gate = Gate::new();
    let mut rate = f64::INFINITY;
    for _ in 0..1000 {
        rate = gate.tick(500, 450, 20).unwrap_or(rate);
    }
    assert!((rate / (0.1 * 1.05 * 5.0) - 1.0).abs() < 0.01, "{rate}");
}

#[test]
fn a_queue_that_stands_is_congestion_although_no_more_arrives_than_is_served() {
    let mut gate = Gate::new();
    gate.patient = true;
    assert_eq!((0..600).find_map(|_| gate.tick(50, 0, 20)), None, "less than a turn of the slots");
    let rate = (0..20).find_map(|_| gate.tick(50, 0, 200)).unwrap();
    assert!((rate / (1.05 * 500.0 / 100.0) - 1.0).abs() < 0.05, "{rate}");
    let still = (0..100).map(|_| gate.tick(40, 0, 200)).last().unwrap();
    assert!(still.is_some(), "what waits is demand, though little arrives");
    let ticks = (1..100).find(|_| gate.tick(10, 0, 0).is_none()).unwrap();
    assert!((20..=70).contains(&ticks), "released after {ticks} ticks");
}

#[test]
fn a_rate_from_before_the_crowd_came_is_cut_at_once() {
    let mut gate = Gate::new();
    gate.live_clients = 1;
    while gate.tick(400, 300, 20).is_none() {}
    gate.live_clients = 100;
    // As soon as what arrives can be the answer to the first guess.
    let rate = (0..10).map(|_| gate.tick(400, 300, 20).unwrap()).fold(f64::INFINITY, f64::min);
    assert!(rate < 2.0 * 1.05 * 5.0, "{rate}");
}

#[test]
fn slots_that_are_new_are_given_away_at_once() {
    let mut gate = Gate::new();
    gate.permits = 5;
    while gate.tick(80, 60, 5).is_none() {}
    let before = (0..50).map(|_| gate.tick(11, 1, 0).unwrap()).last().unwrap();
    gate.permits = 25;
    let after = gate.tick(11, 0, 0).unwrap();
    assert!((after / before / 5.0 - 1.0).abs() < 0.1, "{before}, {after}");
}

#[test]
fn a_rate_that_no_longer_binds_is_released() {
    let mut gate = Gate::new();
    while gate.tick(400, 300, 20).is_none() {}
    let ticks = (1..100).find(|_| gate.tick(10, 0, 0).is_none()).unwrap();
    assert!((20..=60).contains(&ticks), "released after {ticks} ticks");
}

#[test]
fn a_time_in_which_the_server_stood_still_is_no_sign_of_calm() {
    let mut gate = Gate::new();
    (0..10).for_each(|_| _ = gate.tick(40, 0, 0));
    (0..50).for_each(|_| _ = gate.tick(70, 20, 20));
    (0..100).for_each(|_| _ = gate.tick(50, 0, 20));
    for _ in 0..5 {
        gate.tick(40, 0, 0).expect("in force");
        gate.now += Duration::from_secs(4);
        gate.tick(40, 0, 0).expect("nothing was seen of these seconds");
        (0..20).for_each(|_| _ = gate.tick(50, 0, 20).expect("still in force"));
    }
}

#[test]
fn a_rate_that_holds_demand_back_is_raised_and_not_released() {
    let mut gate = Gate::new();
    let mut rate = std::iter::repeat_with(|| gate.tick(400, 300, 20)).flatten().next().unwrap();
    // Only 10 of the 100 live clients are active and use all they may: arrivals follow the rate.
    for _ in 0..600 {
        let arrivals = (10.0 * rate * TICK.as_secs_f64()).round() as u64;
        rate = gate.tick(arrivals, arrivals.saturating_sub(50), 0).expect("still in force");
    }
    assert!((rate * 10.0 / (1.05 * 500.0) - 1.0).abs() < 0.1, "{rate}");
}

#[test]
fn a_rate_below_an_equal_share_is_raised_to_one_before_it_is_released() {
    let mut gate = Gate::new();
    while gate.tick(400, 300, 20).is_none() {}
    // Cut far below an equal share, which is 5.25.
    (0..600).for_each(|_| _ = gate.tick(400, 350, 20));
    let low = gate.tick(10, 0, 0).expect("in force");
    assert!(low < 1.0, "{low}");
    // A spike at first, and then less than a quarter of the capacity.
    gate.tick(45, 0, 0).expect("in force");
    let rates: Vec<f64> = std::iter::from_fn(|| gate.tick(10, 0, 0)).take(200).collect();
    // The rejects leave their window after two seconds; then it is calm for two.
    assert!((35..=50).contains(&rates.len()), "{}", rates.len());
    assert!(rates.iter().rev().take(8).all(|rate| *rate >= 5.0), "{rates:?}");
}
