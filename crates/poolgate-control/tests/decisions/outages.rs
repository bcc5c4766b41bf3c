//! Databases that cannot be used, in whole or in part.

use poolgate_control::{Event, GateSample, Policy, Reachability, Sample, WorkSample};
use poolgate_types::{AlertKind, CircuitState, Health, Level, Reason, Severity, SixFields};

use super::{World, usage};

#[test]
fn a_silent_database_is_critical_and_opens_the_breaker_and_all_recovers() {
    for policy in [Policy::Adaptive, Policy::Fixed] {
        let mut world = World::new(policy);
        world.run(5.0, &usage(5));
        let silent = Sample { reachability: Reachability::Silent, completed: 0, ..usage(5) };
        let decision = world.run(0.8, &silent);
        assert_eq!(decision.gate.circuit, CircuitState::Open);
        assert_eq!(decision.config.health, Health::Critical);
        assert_eq!(decision.config.throttling_level, Level::Emergency);
        assert_eq!(decision.config.six_fields(), SixFields::EMERGENCY);
        assert!(decision.config.circuit_breaker_open && decision.config.retry_after_seconds.is_some());
        assert!(decision.alerts.iter().any(|alert| alert.kind == AlertKind::DatabaseSilent));

        let probing = world.run(0.3, &usage(5));
        assert_eq!(probing.gate.circuit, CircuitState::HalfOpen);
        assert!(probing.config.circuit_breaker_open && probing.config.probe_fraction.is_some());
        let decision = world.run(20.0, &usage(5));
        assert_eq!(decision.gate.circuit, CircuitState::Closed);
        assert_eq!(decision.config.throttling_level, Level::Normal);
        assert_eq!(decision.config.health, Health::Healthy);
        assert!(!decision.config.circuit_breaker_open && decision.alerts.is_empty());
    }
}

#[test]
fn a_database_that_refuses_every_login_is_an_outage_with_a_name_and_a_cause() {
    for (reachability, kind, reason) in [
        (Reachability::Silent, AlertKind::DatabaseSilent, Reason::DatabaseUnreachable),
        (Reachability::LoginRefused, AlertKind::LoginRefused, Reason::LoginRefused),
        (Reachability::ServerFull, AlertKind::ServerFull, Reason::ServerFull),
    ] {
        let mut world = World::new(Policy::Adaptive);
        world.run(5.0, &usage(5));
        let lost = Sample {
            reachability,
            connects: reachability,
            cause: Some("sorry, too many clients".into()),
            completed: 0,
            ..usage(0)
        };
        let decision = world.run(1.0, &lost);
        assert_eq!((decision.gate.circuit, decision.config.health), (CircuitState::Open, Health::Critical));
        assert_eq!((decision.config.throttling_level, decision.config.reason), (Level::Emergency, reason));
        let [alert] = decision.alerts.as_slice() else { panic!("{:?}", decision.alerts) };
        assert_eq!((alert.kind, alert.severity), (kind, Severity::Critical));
        assert!(alert.message.contains("sorry, too many clients"), "{}", alert.message);

        let raised = |world: &World| world.events.iter().filter(|event| matches!(event, Event::AlertRaised(_))).count();
        assert_eq!(raised(&world), 1);
        world.run(60.0, &lost);
        assert_eq!(raised(&world), 1, "it is told once, however often the breaker tries again: {:?}", world.events);
        let starting = Sample {
            reachability: Reachability::Silent,
            cause: Some("the database system is starting up".into()),
            ..lost
        };
        let alerts = world.run(10.0, &starting).alerts;
        assert_eq!((alerts.len(), alerts[0].kind), (1, AlertKind::DatabaseSilent));
        assert!(alerts[0].message.contains("starting up"), "{}", alerts[0].message);
        assert_eq!(raised(&world), 2, "a new cause is told");

        let well = world.run(20.0, &usage(5));
        assert_eq!((well.config.health, well.config.reason, well.alerts.len()), (Health::Healthy, Reason::Healthy, 0));
    }
}

#[test]
fn causes_that_alternate_are_told_every_few_seconds_at_the_most() {
    let mut world = World::new(Policy::Adaptive);
    for tick in 0..600 {
        let cause = if tick % 2 == 0 { "refused" } else { "no answer" };
        world.run(
            0.1,
            &Sample { reachability: Reachability::Silent, cause: Some(cause.into()), completed: 0, ..usage(0) },
        );
    }
    let raised = world.events.iter().filter(|event| matches!(event, Event::AlertRaised(_))).count();
    assert!(raised <= 13, "{raised} in a minute");
}

#[test]
fn connects_that_fail_beside_connections_that_work_are_a_warning_and_stop_no_request() {
    for (connects, kind) in [
        (Reachability::Silent, AlertKind::DatabaseSilent),
        (Reachability::LoginRefused, AlertKind::LoginRefused),
        (Reachability::ServerFull, AlertKind::ServerFull),
    ] {
        let mut world = World::new(Policy::Adaptive);
        let mut sample = Sample { connects, cause: Some("no".into()), ..usage(5) };
        sample.pool.open = 7;
        let decision = world.run(5.0, &sample);
        assert_eq!((decision.gate.circuit, decision.config.enforced), (CircuitState::Closed, false));
        let [alert] = decision.alerts.as_slice() else { panic!("{:?}", decision.alerts) };
        assert_eq!((alert.kind, alert.severity), (kind, Severity::Warning));
        assert!(alert.message.contains("7 open ones go on"), "{}", alert.message);
        assert!(world.run(6.0, &usage(5)).alerts.is_empty());
    }
}

#[test]
fn a_pause_slows_clients_down_and_is_no_outage_and_ends_at_once() {
    for policy in [Policy::Adaptive, Policy::Fixed] {
        let mut world = World::new(policy);
        let before = world.run(5.0, &usage(5)).config;
        let mut paused = Sample { reachability: Reachability::Paused, completed: 0, ..usage(0) };
        paused.gate = GateSample { queued: 40, in_flight: 0, patient: true, ..paused.gate };
        for _ in 0..30 {
            let decision = world.run(1.0, &paused);
            let config = &decision.config;
            assert_eq!((decision.gate.circuit, config.circuit_breaker_open), (CircuitState::Closed, false));
            assert_eq!((config.throttling_level, config.health), (Level::Moderate, Health::Degraded));
            assert_eq!((config.enforced, config.reason), (true, Reason::DatabasePaused));
            assert!(config.fair_rate_per_second.is_none_or(|rate| rate <= 1.0), "{config:?}");
            let [alert] = decision.alerts.as_slice() else { panic!("{:?}", decision.alerts) };
            assert_eq!((alert.kind, alert.severity), (AlertKind::DatabasePaused, Severity::Warning));
        }
        // Those who have waited are being served.
        let mut after = usage(20);
        after.gate = GateSample { queued: 35, patient: true, ..after.gate };
        let after = world.run(0.2, &after).config;
        assert_eq!((after.enforced, after.fair_rate_per_second), (before.enforced, before.fair_rate_per_second));
        assert_eq!(world.run(6.0, &usage(5)).config.six_fields(), before.six_fields());
    }
}

#[test]
fn many_clients_share_a_tenth_of_the_capacity_during_a_pause() {
    let mut world = World::new(Policy::Adaptive);
    let crowd = Sample { live_clients: 10_000, ..usage(5) };
    world.run(5.0, &crowd);
    let rate =
        world.run(1.0, &Sample { reachability: Reachability::Paused, ..crowd }).config.fair_rate_per_second.unwrap();
    assert!((10_000.0 * rate / 50.0 - 1.0).abs() < 0.1, "a tenth of 500 a second: {rate}");
}

#[test]
fn writes_that_fail_degrade_health_and_stop_no_request() {
    for (work, kind, reason) in [
        (WorkSample { read_only: 1, ..WorkSample::default() }, AlertKind::ReadOnly, Reason::ReadOnly),
        (WorkSample { storage_full: 1, ..WorkSample::default() }, AlertKind::StorageFull, Reason::StorageFull),
        (WorkSample { blocked: 1, ..WorkSample::default() }, AlertKind::WritesBlocked, Reason::WritesBlocked),
    ] {
        let mut world = World::new(Policy::Adaptive);
        let decision = world.run(5.0, &Sample { work, ..usage(5) });
        let config = &decision.config;
        assert_eq!((config.health, config.reason), (Health::Degraded, reason));
        assert_eq!(
            (config.throttling_level, config.enforced, decision.gate.circuit),
            (Level::Normal, false, CircuitState::Closed)
        );
        let [alert] = decision.alerts.as_slice() else { panic!("{:?}", decision.alerts) };
        assert_eq!((alert.kind, alert.severity), (kind, Severity::Critical));
        assert_eq!(config.version, 2, "one change is one version");

        let well = world.run(1.0, &Sample { work: WorkSample { written: 5, ..WorkSample::default() }, ..usage(5) });
        assert_eq!((well.config.health, well.config.reason, well.alerts.len()), (Health::Healthy, Reason::Healthy, 0));
    }
}
