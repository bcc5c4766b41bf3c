//! What the controller decides, rule by rule, in virtual time.

use std::time::Duration;

use poolgate_control::{
    Controller, Decision, Event, GateSample, Policy, PoolSample, Reachability, Sample, Settings, WorkSample,
    gate::GateOrders,
};
use poolgate_types::{
    AlertKind, CircuitState, ConfigVersion, Health, Level, Reason, Severity, SixFields, ThrottlingConfig,
};

const TICK: Duration = Duration::from_millis(100);

/// A controller and its clock.
struct World {
    controller: Controller,
    now: Duration,
    events: Vec<Event>,
}

impl World {
    fn new(policy: Policy) -> Self {
        Self::with(Settings::with_policy(policy))
    }

    fn with(settings: Settings) -> Self {
        Self { controller: Controller::new(settings, 1, 0), now: Duration::ZERO, events: Vec::new() }
    }

    /// Feeds the same sample for this time; returns the last decision.
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

/// A pool of 30 with `checked_out` connections in use, and a healthy gate in front: 25 slots of 50 ms, 200 arrivals
/// a second.
fn usage(checked_out: u32) -> Sample {
    Sample {
        pool: PoolSample { checked_out, capacity: 30, ..Default::default() },
        gate: GateSample { permits: 25, in_flight: 10, arrivals: 20, ..GateSample::default() },
        completed: 20,
        reachability: Reachability::Answering,
        live_clients: 100,
        streaming_clients: 100,
        ..Sample::default()
    }
}

/// The same gate with these arrivals and rejects per tick; it serves 50 of them.
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
fn a_database_that_lets_nobody_in_is_an_outage_with_a_name_and_a_cause() {
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
fn connects_that_fail_beside_connections_that_work_are_a_warning_and_stop_nobody() {
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
fn a_gate_that_rejects_nobody_has_no_permits_to_set() {
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

#[test]
fn who_only_observes_measures_everything_and_tells_nobody() {
    for policy in [Policy::Adaptive, Policy::Fixed] {
        let mut settings = Settings::with_policy(policy);
        settings.observe_only = true;
        let (mut observing, mut acting) = (World::with(settings), World::new(policy));
        for (seconds, sample) in [
            (5.0, usage(5)),
            (60.0, overload(500, 450)),
            (5.0, Sample { reachability: Reachability::Silent, completed: 0, ..usage(30) }),
            (5.0, usage(30)),
        ] {
            let (observed, acted) = (observing.run(seconds, &sample), acting.run(seconds, &sample));
            let normal = ThrottlingConfig::normal(ConfigVersion { epoch: 1, version: 1 });
            assert_eq!((&observed.config, observed.config_changed), (&normal, false));
            let expected = GateOrders {
                permits: acted.gate.permits,
                mean_hold: acted.gate.mean_hold,
                filling: acted.gate.filling,
                ..GateOrders::default()
            };
            assert_eq!(observed.gate, expected, "as if nothing were wrong");
            assert_eq!(observed.health, acted.health);
            assert_eq!((observed.usage_percent, observed.alerts), (acted.usage_percent, acted.alerts));
            assert_eq!(observed.cleanup_due, acted.cleanup_due);
        }
        assert_eq!(observing.events, acting.events);
    }
}
