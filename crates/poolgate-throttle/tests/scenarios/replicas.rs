//! Several servers behind one name, each with its own epoch: they share nothing, and a load balancer alternates between
//! them.

use std::{collections::VecDeque, time::Duration};

use poolgate_throttle::{Configured, News, Outcome, RejectReason};
use poolgate_types::{CircuitState, ConfigHeader, ConfigVersion, Level, ThrottlingConfig};

use crate::{
    configs::{EPOCH, at, fair, fixed, half_open, news, normal, open},
    world::{World, ms, secs},
};

/// A server and its answers.
#[derive(Clone)]
struct Replica {
    config: ThrottlingConfig,
    outcome: Outcome,
}

impl Replica {
    /// A server that started this many hours after the first one.
    fn new(hours: u64, config: ThrottlingConfig, outcome: Outcome) -> Self {
        Self { config: started(hours, config), outcome }
    }

    fn well(hours: u64) -> Self {
        Self::new(hours, normal(3), Outcome::Success)
    }

    /// It has lost its database.
    fn sick(hours: u64) -> Self {
        Self::new(hours, open(9), Outcome::Rejected { retry_after: Some(secs(5)) })
    }
}

fn started(hours: u64, config: ThrottlingConfig) -> ThrottlingConfig {
    ThrottlingConfig { epoch: EPOCH + hours * 3_600_000, ..config }
}

fn header(config: &ThrottlingConfig) -> News {
    News::Header(ConfigHeader::from(config))
}

fn heartbeat(config: &ThrottlingConfig) -> News {
    News::Current(config.at())
}

/// A client behind a load balancer that sends at a fixed interval.
struct Fleet {
    world: World,
    replicas: Vec<Replica>,
    /// The replica that the event stream is connected to.
    stream: Option<usize>,
    turn: usize,
    served: u32,
    sent: u32,
}

impl Fleet {
    fn new(replicas: Vec<Replica>, stream: Option<usize>) -> Self {
        let mut world = World::new(7);
        world.by_hand = Some(VecDeque::new());
        Self { world, replicas, stream, turn: 0, served: 0, sent: 0 }
    }

    fn next(&mut self) -> Replica {
        self.turn += 1;
        self.replicas[self.turn % self.replicas.len()].clone()
    }

    /// Runs for this long; returns the share of the requests that was sent. The load balancer picks the replica.
    fn run(&mut self, time: Duration, every: Duration) -> f64 {
        (self.served, self.sent) = (0, 0);
        let (begin, mut next_ask, mut next_word) = (self.world.now, self.world.now, self.world.now);
        let mut requests = 0;
        while self.world.now < begin + time {
            let now = self.world.now;
            if now >= next_word {
                next_word = now + secs(5);
                // The stream goes to one replica, questions to any.
                let said = match self.stream {
                    Some(pinned) if self.replicas.get(pinned).is_some() => heartbeat(&self.replicas[pinned].config),
                    _ => news(self.next().config),
                };
                if self.world.configure(said) == Configured::Missed {
                    let document = match self.stream {
                        Some(pinned) if now == begin => self.replicas[pinned].config.clone(),
                        _ => self.next().config,
                    };
                    let _ = self.world.configure(news(document));
                }
            }
            if now >= next_ask {
                next_ask = now + every;
                requests += 1;
                let _ = self.world.submit();
            }
            self.world.run_for(ms(100));
            while let Some(permit) = self.world.take_ended() {
                let Replica { config, outcome } = self.next();
                let _ = self.world.configure(header(&config));
                self.world.complete(permit, outcome);
                self.sent += 1;
                self.served += u32::from(outcome == Outcome::Success);
            }
        }
        f64::from(self.sent) / f64::from(requests)
    }
}

#[test]
fn a_replica_without_database_costs_only_its_own_share() {
    for (well, sick) in [(0, 2), (2, 0)] {
        for stream in [None, Some(0), Some(1)] {
            for every in [ms(250), secs(1), secs(4)] {
                let replicas = vec![Replica::well(well), Replica::well(sick)];
                let mut fleet = Fleet::new(replicas, stream);
                assert_eq!(fleet.run(secs(30), every), 1.0);
                fleet.replicas[1] = Replica::sick(sick);
                let share = fleet.run(secs(60), every);
                assert!(share > 0.95, "sick from {sick}, stream to {stream:?}, every {every:?}: {share}");
                assert!(f64::from(fleet.served) / f64::from(fleet.sent) > 0.35);
                fleet.replicas[1] = Replica::well(sick);
                fleet.replicas[1].config.version = 12;
                fleet.run(secs(10), every);
                assert_eq!(fleet.run(secs(30), every), 1.0, "well again");
                assert_eq!(fleet.served, fleet.sent);
            }
        }
    }
}

#[test]
fn a_new_client_is_served_by_the_healthy_replicas() {
    for stream in [None, Some(0), Some(1)] {
        let mut fleet = Fleet::new(vec![Replica::well(0), Replica::sick(2)], stream);
        fleet.run(secs(60), secs(1));
        let share = fleet.run(secs(60), secs(1));
        assert!(share > 0.95, "stream to {stream:?}: {share}");
    }
}

#[test]
fn one_failing_replica_of_six_and_one_healthy_replica_of_six() {
    let sick = (0..5).map(Replica::sick);
    let mut fleet = Fleet::new(sick.clone().chain([Replica::well(9)]).collect(), None);
    fleet.run(secs(20), secs(1));
    let share = fleet.run(secs(120), secs(1));
    assert!(share > 0.9, "of six one is well: {share}");
    let well = (0..5).map(Replica::well);
    let mut fleet = Fleet::new(well.chain([Replica::sick(9)]).collect(), None);
    assert_eq!(fleet.run(secs(120), secs(1)), 1.0, "of six one is sick");
}

#[test]
fn a_stream_to_a_failing_replica_does_not_hold_back_requests_to_others() {
    // The load balancer sends no more requests there; the stream is still connected.
    let mut fleet = Fleet::new(vec![Replica::sick(2)], Some(0));
    fleet.run(secs(30), secs(1));
    let sick = fleet.replicas[0].config.clone();
    let mut world = fleet.world;
    let mut served = 0;
    for second in 0..120 {
        if second % 5 == 0 {
            let _ = world.configure(heartbeat(&sick));
        }
        let _ = world.submit();
        world.run_for(secs(1));
        while let Some(permit) = world.take_ended() {
            let _ = world.configure(header(&Replica::well(0).config));
            world.complete(permit, Outcome::Success);
            served += 1;
        }
    }
    assert!(served > 55, "{served} of 120");
}

#[test]
fn with_all_databases_down_few_requests_probe() {
    let mut fleet = Fleet::new(vec![Replica::sick(0), Replica::sick(2)], None);
    fleet.run(secs(60), ms(100));
    fleet.run(secs(600), ms(100));
    assert!((5..60).contains(&fleet.sent), "{} probes in ten minutes", fleet.sent);
    assert_eq!(fleet.world.state().breaker, CircuitState::Open);
    // Clients probe at different moments.
    let mut firsts: Vec<_> = (0..200)
        .map(|seed| {
            let mut world = World::configured(open(1), seed);
            while world.state().in_flight == 0 {
                world.run_for(ms(100));
                let _ = world.submit();
                let _ = world.configure(News::Current(at(1)));
            }
            world.now
        })
        .collect();
    firsts.sort();
    assert!(firsts[0] >= secs(5) && firsts[180] - firsts[20] > secs(5), "{firsts:?}");
}

#[test]
fn a_restart_with_an_earlier_clock_is_followed_at_once() {
    let strict = |hours| started(hours, fixed(1, Level::Aggressive));
    let free = |hours| started(hours, normal(1));
    for (before, after) in [(free(5), strict(4)), (strict(5), free(4)), (free(4), strict(5)), (strict(4), free(5))] {
        for first in [news(after.clone()), header(&after)] {
            let mut world = World::configured(before.clone(), 1);
            world.run_for(secs(3));
            assert_eq!(world.configure(first), Configured::Applied);
            let _ = world.configure(news(after.clone()));
            let state = world.state();
            assert_eq!((state.version, state.enforced), (Some(after.at()), after.enforced));
            assert_eq!(world.configure(heartbeat(&after)), Configured::Unchanged);
            world.run_for(secs(9));
            assert!(!world.state().stale);
        }
    }
}

#[test]
fn a_restart_without_a_database_is_followed_after_a_few_answers() {
    let after = started(4, open(1));
    let mut world = World::configured(started(5, normal(8)), 1);
    let _ = world.configure(news(after.clone()));
    for answers in 1.. {
        if world.submit().is_err() {
            break;
        }
        assert!(answers < 12, "the previous epoch has been silent for {answers} answers");
        let _ = world.configure(header(&after));
    }
}

#[test]
fn a_stale_config_gives_way_to_any_other() {
    let mut world = World::configured(started(5, fair(8, 0.1, 1)), 1);
    world.run_for(secs(30));
    assert!(world.state().stale);
    for config in [started(4, open(1)), started(3, half_open(1, 0.0)), started(2, fair(1, 0.5, 2))] {
        let at = config.at();
        assert_eq!(world.configure(news(config)), Configured::Applied);
        assert_eq!((world.state().version, world.state().stale), (Some(at), false));
        world.run_for(secs(30));
    }
}

#[test]
fn the_least_busy_replica_sets_the_limit() {
    let (slow, fast) = (started(2, fair(4, 0.1, 1)), started(0, fair(7, 4.0, 3)));
    let mut world = World::configured(slow.clone(), 1);
    let _ = world.configure(news(fast.clone()));
    let mut changes = 0;
    let mut before = None;
    world.service.0 = ms(10);
    let starts = world.starts.len();
    for turn in 0..600 {
        let _ = world.configure(header(if turn % 2 == 0 { &slow } else { &fast }));
        let _ = world.submit();
        let rate = world.state().rate_per_second;
        changes += u32::from(before != rate);
        before = rate;
        world.run_for(ms(100));
    }
    let starts = world.starts.len() - starts;
    assert!((215..250).contains(&starts), "{starts} in a minute at 4 a second");
    assert!(changes <= 3, "it went back and forth {changes} times");
}

#[test]
fn a_replica_without_limits_releases_those_of_another_until_it_leaves() {
    let (free, strict) = (started(0, normal(3)), started(2, fixed(5, Level::Emergency)));
    let mut world = World::configured(free.clone(), 1);
    let _ = world.configure(news(strict.clone()));
    assert!(world.state().enforced, "it may have replaced the other one");
    let _ = world.configure(header(&free));
    for _ in 0..5 {
        let _ = world.configure(header(&strict));
        assert!(!world.state().enforced);
        let _ = world.configure(header(&free));
        assert!(!world.state().enforced);
    }
    // The load balancer has taken it out.
    let mut words = 0;
    while !world.state().enforced {
        let _ = world.configure(header(&strict));
        words += 1;
        assert!(words <= 10);
    }
    assert!(words > 5, "a silent server counts for eight messages: {words}");
}

#[test]
fn alternating_configs_give_no_extra_tokens() {
    for seed in 0..20 {
        let (free, strict) = (started(0, normal(3)), started(2, fair(5, 0.5, 4)));
        let mut world = World::configured(strict.clone(), seed);
        world.service.0 = ms(10);
        let mut starts = 0;
        for _ in 0..60 {
            // For a moment nothing limits, but no request is sent.
            let _ = world.configure(header(&free));
            let _ = world.configure(News::Header(ConfigHeader::from(&strict)));
            (0..9).for_each(|_| _ = world.configure(header(&strict)));
            assert!(world.state().enforced);
            let before = world.starts.len();
            (0..5).for_each(|_| _ = world.submit());
            world.run_for(secs(1));
            starts += world.starts.len() - before;
        }
        assert!(starts < 45, "{starts} in a minute at one every two seconds");
    }
}

#[test]
fn within_one_epoch_the_higher_version_wins() {
    let (first, second) = (started(0, fair(9, 2.0, 2)), started(1, fair(9, 1.0, 2)));
    let mut world = World::configured(first.clone(), 1);
    let _ = world.configure(news(second));
    let _ = world.configure(heartbeat(&first));
    assert_eq!(world.state().rate_per_second, Some(2.0));
    let older = ThrottlingConfig { fair_rate_per_second: Some(9.0), version: 8, ..first.clone() };
    let _ = world.configure(news(older.clone()));
    let _ = world.configure(header(&older));
    assert_eq!(world.state().rate_per_second, Some(2.0));
    let newer = ThrottlingConfig { fair_rate_per_second: Some(1.25), version: 10, ..first };
    assert_eq!(world.configure(header(&newer)), Configured::Applied);
    assert_eq!(world.state().rate_per_second, Some(1.25));
}

#[test]
fn a_heartbeat_of_an_unknown_epoch_asks_for_its_config() {
    let mut world = World::configured(normal(5), 1);
    for epoch in [EPOCH - 1, EPOCH + 1] {
        assert_eq!(world.configure(News::Current(ConfigVersion { epoch, version: 1 })), Configured::Missed);
    }
    assert_eq!(world.state().version, Some(at(5)));
}

#[test]
fn a_rejection_by_one_server_does_not_hold_back_requests_for_another() {
    let mut world = World::configured(started(0, normal(3)), 1);
    let other = started(2, normal(3));
    let _ = world.configure(news(other.clone()));
    let _ = world.configure(heartbeat(&started(0, normal(3))));
    world.throttle.turned_away(Some(secs(20)), Some(other.epoch), world.now);
    assert_eq!(world.paused_for(), secs(0));
    assert_eq!(world.submit(), Ok(None));
    // Both servers ask for a pause.
    world.throttle.turned_away(Some(secs(20)), Some(EPOCH), world.now);
    assert!(world.paused_for() >= secs(20));
    let waits = world.submit().unwrap();
    assert!(waits.is_some());
    world.run_for(secs(11));
    assert_eq!(world.reasons(), [RejectReason::QueueTimeout]);
}

#[test]
fn many_epochs_take_no_more_room_than_a_few() {
    let mut world = World::new(1);
    for hours in 0..1000 {
        let _ = world.configure(news(started(hours, fair(1, 1.0 + hours as f64, 1))));
        assert!(world.state().rate_per_second.unwrap() >= 1.0);
    }
    assert!(format!("{:?}", world.throttle).matches("ServerConfig").count() < 20);
}
