//! What the controller decides, rule by rule, in virtual time.

use std::time::Duration;

use poolgate_control::{
    Contact, Controller, Decision, Event, GateSample, Policy, PoolSample, Sample, Settings, WorkSample,
};
use poolgate_types::{AlertKind, CircuitState, Health, Level, Reason, Severity, SixFields};

const TICK: Duration = Duration::from_millis(100);

/// A controller and its clock.
struct World {
    controller: Controller,
    now: Duration,
    events: Vec<Event>,
}

impl World {
    fn new(policy: Policy) -> Self {
        let controller = Controller::new(Settings::with_policy(policy), 1, 0);
        Self { controller, now: Duration::ZERO, events: Vec::new() }
    }

    /// Feeds the same sample for so many seconds; the last decision.
    fn run(&mut self, seconds: f64, sample: &Sample) -> Decision {
        let end = self.now + Duration::from_secs_f64(seconds);
        loop {
            self.now += TICK;
            let decision = self.controller.tick(sample, self.now);
            self.events.extend(decision.events.clone());
            if self.now >= end {
                return decision;
            }
        }
    }

    fn level_changes(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::LevelChanged { .. })).count()
    }
}

/// A pool of 30 with so many connections in use, and a gate through which all is well: 25 slots of 50 ms, 200 arrivals
/// a second.
fn usage(checked_out: u32) -> Sample {
    Sample {
        pool: PoolSample { checked_out, capacity: 30, ..Default::default() },
        gate: GateSample { permits: 25, in_flight: 10, arrivals: 20, ..GateSample::default() },
        completed: 20,
        contact: Contact::Answering,
        live_clients: 100,
        streaming_clients: 100,
        ..Sample::default()
    }
}

/// The same gate with so many arrivals and rejects per tick; it serves 50 of them.
fn overload(arrivals: u64, rejected: u64) -> Sample {
    Sample {
        gate: GateSample { permits: 25, in_flight: 25, queued: 10, arrivals, rejected, ..GateSample::default() },
        completed: 50,
        ..usage(25)
    }
}

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
fn usage_alone_never_limits_anybody_in_the_adaptive_policy() {
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
        (10, 150, Level::Aggressive, Reason::WaitHigh),
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
fn a_silent_database_is_critical_and_opens_the_breaker_and_all_recovers() {
    for policy in [Policy::Adaptive, Policy::Fixed] {
        let mut world = World::new(policy);
        world.run(5.0, &usage(5));
        let silent = Sample { contact: Contact::Silent, completed: 0, ..usage(5) };
        let decision = world.run(0.8, &silent);
        assert_eq!(decision.breaker, CircuitState::Open);
        assert_eq!(decision.config.health, Health::Critical);
        assert_eq!(decision.config.throttling_level, Level::Emergency);
        assert_eq!(decision.config.six_fields(), SixFields::EMERGENCY);
        assert!(decision.config.circuit_breaker_open && decision.config.retry_after_seconds.is_some());
        assert!(decision.alerts.iter().any(|alert| alert.kind == AlertKind::DatabaseSilent));

        let probing = world.run(0.3, &usage(5));
        assert_eq!(probing.breaker, CircuitState::HalfOpen);
        assert!(probing.config.circuit_breaker_open && probing.config.probe_fraction.is_some());
        let decision = world.run(20.0, &usage(5));
        assert_eq!(decision.breaker, CircuitState::Closed);
        assert_eq!(decision.config.throttling_level, Level::Normal);
        assert_eq!(decision.config.health, Health::Healthy);
        assert!(!decision.config.circuit_breaker_open && decision.alerts.is_empty());
    }
}

#[test]
fn a_database_that_lets_nobody_in_is_an_outage_with_a_name_and_a_cause() {
    for (contact, kind, reason) in [
        (Contact::Silent, AlertKind::DatabaseSilent, Reason::DatabaseUnreachable),
        (Contact::LoginRefused, AlertKind::LoginRefused, Reason::LoginRefused),
        (Contact::ServerFull, AlertKind::ServerFull, Reason::ServerFull),
    ] {
        let mut world = World::new(Policy::Adaptive);
        world.run(5.0, &usage(5));
        let lost = Sample {
            contact,
            connects: contact,
            cause: Some("sorry, too many clients".into()),
            completed: 0,
            ..usage(0)
        };
        let decision = world.run(1.0, &lost);
        assert_eq!((decision.breaker, decision.config.health), (CircuitState::Open, Health::Critical));
        assert_eq!((decision.config.throttling_level, decision.config.reason), (Level::Emergency, reason));
        let [alert] = decision.alerts.as_slice() else { panic!("{:?}", decision.alerts) };
        assert_eq!((alert.kind, alert.severity), (kind, Severity::Critical));
        assert!(alert.message.contains("sorry, too many clients"), "{}", alert.message);

        let raised = |world: &World| world.events.iter().filter(|event| matches!(event, Event::AlertRaised(_))).count();
        assert_eq!(raised(&world), 1);
        world.run(60.0, &lost);
        assert_eq!(raised(&world), 1, "it is told once, however often the breaker tries again: {:?}", world.events);
        let starting =
            Sample { contact: Contact::Silent, cause: Some("the database system is starting up".into()), ..lost };
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
        world.run(0.1, &Sample { contact: Contact::Silent, cause: Some(cause.into()), completed: 0, ..usage(0) });
    }
    let raised = world.events.iter().filter(|event| matches!(event, Event::AlertRaised(_))).count();
    assert!(raised <= 13, "{raised} in a minute");
}

#[test]
fn connects_that_fail_beside_connections_that_work_are_a_warning_and_stop_nobody() {
    for (connects, kind) in [
        (Contact::Silent, AlertKind::DatabaseSilent),
        (Contact::LoginRefused, AlertKind::LoginRefused),
        (Contact::ServerFull, AlertKind::ServerFull),
    ] {
        let mut world = World::new(Policy::Adaptive);
        let mut sample = Sample { connects, cause: Some("no".into()), ..usage(5) };
        sample.pool.open = 7;
        let decision = world.run(5.0, &sample);
        assert_eq!((decision.breaker, decision.config.enforced), (CircuitState::Closed, false));
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
        let mut paused = Sample { contact: Contact::Paused, completed: 0, ..usage(0) };
        paused.gate = GateSample { queued: 40, in_flight: 0, patient: true, ..paused.gate };
        for _ in 0..30 {
            let decision = world.run(1.0, &paused);
            let config = &decision.config;
            assert_eq!((decision.breaker, config.circuit_breaker_open), (CircuitState::Closed, false));
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
    let rate = world.run(1.0, &Sample { contact: Contact::Paused, ..crowd }).config.fair_rate_per_second.unwrap();
    assert!((10_000.0 * rate / 50.0 - 1.0).abs() < 0.1, "a tenth of 500 a second: {rate}");
}

#[test]
fn writes_that_fail_degrade_health_and_stop_nobody() {
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
            (config.throttling_level, config.enforced, decision.breaker),
            (Level::Normal, false, CircuitState::Closed)
        );
        let [alert] = decision.alerts.as_slice() else { panic!("{:?}", decision.alerts) };
        assert_eq!((alert.kind, alert.severity), (kind, Severity::Critical));
        assert_eq!(config.version, 2, "one change is one version");

        let well = world.run(1.0, &Sample { work: WorkSample { written: 5, ..WorkSample::default() }, ..usage(5) });
        assert_eq!((well.config.health, well.config.reason, well.alerts.len()), (Health::Healthy, Reason::Healthy, 0));
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

#[test]
fn a_hundred_equal_samples_are_one_version() {
    let mut world = World::new(Policy::Adaptive);
    let first = world.run(0.1, &usage(5)).config;
    assert_eq!(world.run(10.0, &usage(5)).config, first);
}

#[test]
fn ticks_may_be_late_or_repeat_and_the_clock_may_go_back() {
    let mut controller = Controller::new(Settings::default(), 1, 0);
    let mut last = 0;
    for milliseconds in [0, 0, 100, 50, 100_000, 3, 100_100, u64::MAX / 2] {
        let decision = controller.tick(&overload(400, 350), Duration::from_millis(milliseconds));
        assert!(decision.config.version >= last);
        last = decision.config.version;
    }
}
