//! Levels, labels and alerts by usage, rejects and waits.

use std::time::Duration;

use poolgate_control::{Event, GateSample, Policy, Sample};
use poolgate_types::{AlertKind, Health, Level, Reason, Severity, SixFields};

use super::{World, overload, usage};

#[test]
fn fixed_policy_is_the_original_table_by_usage() {
    for (checked_out, health, level) in [
        (0, Health::Healthy, Level::Normal),
        (20, Health::Healthy, Level::Normal),
        (21, Health::Degraded, Level::Moderate),
        (24, Health::Degraded, Level::Aggressive),
        (27, Health::Degraded, Level::Emergency),
        (28, Health::Critical, Level::Emergency),
        (30, Health::Critical, Level::Emergency),
    ] {
        let config = World::new(Policy::Fixed).run(3.0, &usage(checked_out)).config;
        assert_eq!((config.health, config.throttling_level), (health, level), "{checked_out} of 30");
        assert_eq!(config.six_fields(), SixFields::of(level));
        assert_eq!(config.emergency_mode_active, level == Level::Emergency);
        assert!(config.enforced && config.fair_rate_per_second.is_none());
    }
}

#[test]
fn usage_alone_never_limits_in_the_adaptive_policy() {
    let mut world = World::new(Policy::Adaptive);
    let decision = world.run(60.0, &usage(30));
    assert_eq!(decision.config.health, Health::Critical);
    assert_eq!(decision.config.throttling_level, Level::Normal);
    assert!(!decision.config.enforced);
    assert_eq!(world.level_changes(), 0);
}

#[test]
fn labels_rise_within_the_average_and_fall_after_calm() {
    let mut world = World::new(Policy::Fixed);
    world.run(5.0, &usage(0));
    assert_eq!(world.run(2.0, &usage(30)).config.throttling_level, Level::Emergency);
    assert_eq!(world.run(5.0, &usage(0)).config.throttling_level, Level::Emergency);
    let config = world.run(2.5, &usage(0)).config;
    assert_eq!((config.throttling_level, config.health), (Level::Normal, Health::Healthy));
}

#[test]
fn a_gauge_around_a_threshold_does_not_make_labels_flap() {
    let mut world = World::new(Policy::Fixed);
    for second in 0..60 {
        world.run(1.0, &usage(if second % 2 == 0 { 20 } else { 22 }));
    }
    assert!(world.level_changes() <= 2, "{:?}", world.events);
}

#[test]
fn a_pool_as_full_as_its_gate_is_no_alert_until_something_else_uses_it() {
    let mut world = World::new(Policy::Adaptive);
    let full = |checked_out, in_flight| {
        let sample = usage(checked_out);
        Sample { gate: GateSample { in_flight, ..sample.gate }, ..sample }
    };
    assert!(world.run(60.0, &full(25, 25)).alerts.is_empty());
    // A connection that is returned just after its request has left the gate.
    world.run(0.1, &full(25, 20));
    assert!(world.run(10.0, &full(25, 25)).alerts.is_empty());
    let alerts = world.run(3.0, &full(28, 25)).alerts;
    assert_eq!(alerts.iter().map(|alert| alert.severity).collect::<Vec<_>>(), [Severity::Critical]);
}

#[test]
fn alerts_are_raised_at_three_thresholds_and_cleared() {
    let mut world = World::new(Policy::Adaptive);
    for (checked_out, severity) in [(22, Severity::Info), (25, Severity::Warning), (29, Severity::Critical)] {
        let alerts = world.run(3.0, &usage(checked_out)).alerts;
        let [alert] = alerts.as_slice() else { panic!("{alerts:?}") };
        assert_eq!((alert.kind, alert.severity), (AlertKind::PoolUsage, severity));
    }
    assert!(world.run(8.0, &usage(0)).alerts.is_empty());
    assert!(world.events.contains(&Event::AlertCleared(AlertKind::PoolUsage)));
}

#[test]
fn a_cleanup_is_due_after_five_seconds_above_ninety_percent_not_by_a_full_gate() {
    let mut world = World::new(Policy::Adaptive);
    assert!(!world.run(60.0, &overload(200, 150)).cleanup_due);
    assert!(!world.run(4.0, &usage(30)).cleanup_due);
    assert!(world.run(4.0, &usage(30)).cleanup_due);
    assert!(!world.run(2.0, &usage(20)).cleanup_due);
}

#[test]
fn a_crowd_that_is_held_by_the_quota_shows_in_the_level_and_not_in_the_rate() {
    let (mut obeying, mut disobeying) = (World::new(Policy::Adaptive), World::new(Policy::Adaptive));
    let mut crowd = overload(60, 10);
    crowd.gate.over_quota = 100;
    let (alone, beside) = (obeying.run(5.0, &overload(60, 10)).config, disobeying.run(5.0, &crowd).config);
    assert_eq!((beside.throttling_level, beside.reason), (Level::Emergency, Reason::ClientsDisobey));
    assert_eq!(alone.throttling_level, Level::Moderate);
    assert_eq!(beside.fair_rate_per_second, alone.fair_rate_per_second);
}

#[test]
fn levels_say_how_well_the_rate_works() {
    for (rejected, p99, level, reason) in [
        (10, 20, Level::Moderate, Reason::DemandAboveCapacity),
        (10, 250, Level::Aggressive, Reason::WaitHigh),
        (30, 20, Level::Aggressive, Reason::RejectsHigh),
        (70, 20, Level::Emergency, Reason::ClientsDisobey),
    ] {
        let mut sample = overload(100, rejected);
        sample.acquire_wait_p99 = Duration::from_millis(p99);
        let config = World::new(Policy::Adaptive).run(5.0, &sample).config;
        assert_eq!((config.throttling_level, config.reason), (level, reason));
        assert!(config.enforced && config.fair_rate_per_second.is_some());
        assert_eq!((config.ttl_seconds, config.poll_after_seconds), (10, 5));
    }
}

#[test]
fn a_level_that_is_near_its_threshold_stands_still_and_still_rises_within_a_second() {
    let mut world = World::new(Policy::Adaptive);
    world.run(10.0, &overload(60, 10));
    let rise = world.run(1.0, &overload(100, 60)).config;
    assert_eq!((rise.throttling_level, rise.reason), (Level::Aggressive, Reason::RejectsHigh));
    world.run(3.0, &overload(100, 25));
    let changes = world.level_changes();
    for half_second in 0..240 {
        world.run(0.5, &overload(100, if half_second % 24 == 0 { 60 } else { 5 }));
    }
    assert_eq!(world.level_changes(), changes, "{:?}", world.events);
    world.run(38.0, &overload(60, 5));
    assert_eq!(world.level_changes(), changes + 1, "after half a minute of calm: {:?}", world.events);
}

#[test]
fn normal_is_back_ten_seconds_after_the_pressure() {
    let mut world = World::new(Policy::Adaptive);
    assert_ne!(world.run(20.0, &overload(500, 450)).config.throttling_level, Level::Normal);
    let config = world.run(10.0, &usage(5)).config;
    assert_eq!((config.throttling_level, config.enforced), (Level::Normal, false));
    assert_eq!(config.six_fields(), SixFields::NORMAL);
    assert_eq!((config.ttl_seconds, config.poll_after_seconds), (90, 30));
}

#[test]
fn constant_load_of_any_size_does_not_flap() {
    for arrivals in [10, 40, 50, 55, 60, 100, 500] {
        let mut world = World::new(Policy::Adaptive);
        world.run(120.0, &overload(arrivals, arrivals.saturating_sub(50)));
        assert!(world.level_changes() <= 4, "{arrivals} per tick: {:?}", world.events);
    }
}

#[test]
fn a_full_gate_clients_that_disobey_and_a_proxy_without_trust_have_alerts() {
    let mut world = World::new(Policy::Adaptive);
    world.run(5.0, &usage(5));
    let mut held = overload(10, 10);
    (held.completed, held.pool.checked_out) = (0, 0);
    let alerts = world.run(5.0, &Sample { proxy_untrusted: true, ..held }).alerts;
    for kind in [AlertKind::GateFull, AlertKind::ProxyUntrusted] {
        assert!(alerts.iter().any(|alert| alert.kind == kind), "{kind:?}: {alerts:?}");
    }
    let decision = world.run(10.0, &overload(500, 450));
    let disobeys = decision.alerts.iter().any(|alert| alert.kind == AlertKind::ClientsDisobey);
    assert_eq!(disobeys, decision.config.reason == Reason::ClientsDisobey, "{:?}", decision.alerts);
    assert!(disobeys);
    assert!(world.run(20.0, &usage(5)).alerts.is_empty());
}
