//! What the controller decides, rule by rule, in virtual time.

mod levels;
mod orders;
mod outages;

use std::time::Duration;

use poolgate_control::{
    Controller, Decision, Event, GateSample, Policy, PoolSample, Reachability, Sample, Settings, gate::GateOrders,
};
use poolgate_types::{ConfigVersion, ThrottlingConfig};

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
fn observe_only_measures_everything_and_publishes_no_limit() {
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
