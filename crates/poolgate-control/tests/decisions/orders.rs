//! What the gate is told.

use poolgate_control::{Decision, Policy, PoolSample, Reachability, Sample};
use poolgate_types::{CircuitState, Reason};

use super::{World, overload, usage};

#[test]
fn the_gate_is_told_its_permits_the_mean_hold_and_the_rate_in_force() {
    let mut world = World::new(Policy::Adaptive);
    let healthy = world.run(5.0, &usage(5));
    assert_eq!(
        (healthy.gate.permits, healthy.gate.limited, healthy.gate.fair_rate_per_second),
        (Some(25), false, None)
    );
    let mean_hold = healthy.gate.mean_hold.unwrap().as_secs_f64();
    assert!((mean_hold / 0.05 - 1.0).abs() < 0.01, "10 in flight, 200 a second: {mean_hold}");
    assert!(!healthy.gate.filling);

    let limited = world.run(5.0, &overload(100, 50));
    assert!(limited.gate.limited && limited.config.enforced);
    assert_eq!(limited.gate.fair_rate_per_second, limited.config.fair_rate_per_second);
    assert!(limited.gate.fair_rate_per_second.is_some());
    assert_eq!((limited.gate.circuit, limited.gate.probes_per_second), (CircuitState::Closed, 0.0));
}

#[test]
fn the_first_order_says_that_nothing_is_known() {
    let decision = World::new(Policy::Adaptive).run(0.1, &Sample { completed: 0, ..usage(5) });
    assert_eq!((decision.gate.mean_hold, decision.gate.retry_after_seconds), (None, 1));
}

#[test]
fn the_normal_row_of_the_fixed_policy_is_enforced_and_does_not_shorten_the_queue() {
    for (checked_out, limited) in [(0, false), (20, false), (21, true), (24, true), (30, true)] {
        let decision = World::new(Policy::Fixed).run(3.0, &usage(checked_out));
        assert!(decision.config.enforced);
        assert_eq!(decision.gate.limited, limited, "{checked_out} of 30");
        assert_eq!(decision.gate.fair_rate_per_second, None);
    }
}

#[test]
fn a_gate_that_never_rejects_has_no_permits_to_set() {
    let mut pooler = usage(5);
    pooler.gate.patient = true;
    assert_eq!(World::new(Policy::Adaptive).run(1.0, &pooler).gate.permits, None);
}

#[test]
fn the_gate_is_told_that_the_pool_is_filling() {
    let mut sample = usage(5);
    sample.gate.in_flight = 25;
    sample.pool = PoolSample { checked_out: 5, open: 5, capacity: 30, waiting: 20, ..PoolSample::default() };
    assert!(World::new(Policy::Adaptive).run(1.0, &sample).gate.filling);
}

/// Makes the breaker half-open, with the database unreachable before and nothing completed.
fn half_open(world: &mut World, sample: &Sample) -> Decision {
    let open = world.run(0.8, &Sample { reachability: Reachability::Silent, completed: 0, ..sample.clone() });
    assert_eq!((open.gate.circuit, open.gate.probes_per_second), (CircuitState::Open, 0.0));
    assert_eq!(Some(open.gate.retry_after_seconds), open.config.retry_after_seconds);
    let probing = world.run(0.1, &Sample { completed: 0, ..sample.clone() });
    assert_eq!((probing.gate.circuit, probing.config.reason), (CircuitState::HalfOpen, Reason::Probing));
    assert_eq!(probing.gate.retry_after_seconds, 1);
    probing
}

#[test]
fn a_twentieth_of_the_capacity_may_probe_and_then_the_share_of_the_ramp() {
    let mut world = World::new(Policy::Adaptive);
    world.run(5.0, &usage(5));
    let capacity = |decision: &Decision| 25.0 / decision.gate.mean_hold.unwrap().as_secs_f64();
    let probing = half_open(&mut world, &usage(5));
    let (probes, expected) = (probing.gate.probes_per_second, 0.05 * capacity(&probing));
    assert!(expected > 1.0 && expected < 25.0 && (probes - expected).abs() < 1e-9, "{probes}, {expected}");

    let mut steps = 0;
    for _ in 0..40 {
        let ramp = world.run(0.1, &usage(5));
        if ramp.config.reason == Reason::Recovering {
            steps += 1;
            let expected = capacity(&ramp) * ramp.config.probe_fraction.unwrap();
            assert!((ramp.gate.probes_per_second - expected).abs() < 1e-9, "{:?}", ramp.gate);
        }
    }
    assert!(steps > 10, "{steps}");
}

#[test]
fn there_is_at_least_one_probe_a_second_and_never_more_than_permits() {
    // Nothing is known about hold times, so they count as 50 ms: 30 connections serve 600 a second.
    let with_permits = |permits| {
        let mut sample = usage(5);
        (sample.gate.permits, sample.gate.in_flight, sample.gate.arrivals) = (permits, 0, 0);
        sample
    };
    for (permits, probes) in [(100, 30.0), (30, 30.0), (20, 20.0), (1, 1.0)] {
        let probing = half_open(&mut World::new(Policy::Adaptive), &with_permits(permits));
        assert_eq!(probing.gate.mean_hold, None);
        assert!((probing.gate.probes_per_second - probes).abs() < 1e-9, "{permits}: {:?}", probing.gate);
    }

    // Requests that fail at once make the capacity look large.
    let mut fast = World::new(Policy::Adaptive);
    fast.run(20.0, &Sample { completed: 5000, ..usage(5) });
    assert_eq!(half_open(&mut fast, &with_permits(25)).gate.probes_per_second, 25.0);

    // Requests that do not end make it look small.
    let mut slow = World::new(Policy::Adaptive);
    let mut stuck = Sample { completed: 0, ..usage(25) };
    stuck.gate.in_flight = 25;
    slow.run(1.0, &usage(5));
    slow.run(5.0, &stuck);
    assert_eq!(half_open(&mut slow, &stuck).gate.probes_per_second, 1.0);
}
