//! One config for all replicas, in virtual time: the law on the sums of several controllers with the delay of their
//! exchange.

#![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]

mod world;

use std::{collections::BTreeSet, time::Duration};

use poolgate_types::{Reason, ThrottlingConfig};
use world::World;

const SECOND: Duration = Duration::from_secs(1);
const CLIENTS: u32 = 300;

/// Replicas that have divided the budget and serve half of what they could.
fn settled(servers: usize, seed: u64) -> World {
    let mut world = World::new(servers, seed);
    world.spread(CLIENTS);
    world.demand = 0.5 * 480.0 / f64::from(CLIENTS);
    world.run(30 * SECOND);
    assert!(world.rates().iter().all(Option::is_none), "{:?}", world.rates());
    world
}

/// What is served in this time, as a part of what could be.
fn goodput(world: &mut World, seconds: u32) -> f64 {
    world.run(seconds * SECOND);
    world.served / (world.capacity() * f64::from(seconds))
}

#[test]
fn three_replicas_limit_as_one_does() {
    const SEEDS: u64 = 20;
    for servers in [1, 2, 3] {
        let (mut arrived, mut served) = (0.0, 0.0);
        for seed in 0..SEEDS {
            let mut world = settled(servers, seed);
            world.demand *= 6.0;
            world.run(5 * SECOND);
            let goodput = goodput(&mut world, 30);
            assert!(goodput > 0.9, "{servers} servers, seed {seed}: {goodput}");
            served += goodput / SEEDS as f64;
            arrived += world.arrived / (30.0 * world.capacity() * SEEDS as f64);
        }
        println!("{servers} servers: arrivals {arrived:.3}, goodput {served:.3}");
        assert!((0.97..1.1).contains(&arrived), "{servers} servers: {arrived}");
        assert!(served > 0.955, "{servers} servers: {served}");
    }
}

/// Replicas that serve three times what they can.
fn overloaded(servers: usize, seed: u64) -> World {
    let mut world = settled(servers, seed);
    world.demand *= 6.0;
    world.run(20 * SECOND);
    assert!(world.rates().iter().all(Option::is_some), "{:?}", world.rates());
    world
}

#[test]
fn the_rate_is_corrected_no_faster_than_by_one() {
    // Versions in half a minute of overload, and the shortest time between two.
    let corrections = |servers| {
        let mut world = overloaded(servers, 3);
        world.servers[0].history.clear();
        world.run(30 * SECOND);
        let history = &world.servers[0].history;
        let shortest = history.windows(2).map(|pair| pair[1].0 - pair[0].0).min();
        (history.len(), shortest)
    };
    let (one, three) = (corrections(1), corrections(3));
    println!("one {one:?}, three {three:?}");
    assert!(three.0 <= one.0 + one.0 / 2 + 2, "{one:?} {three:?}");
    assert!(three.1.is_none_or(|shortest| shortest >= 2 * world::TICK), "{three:?}");
}

#[test]
fn another_one_goes_on_when_the_publisher_is_killed_and_no_older_config_wins() {
    let mut world = overloaded(3, 7);
    let publisher = world.publisher().expect("one publishes");
    let before = world.common().map(ThrottlingConfig::at);
    world.servers[publisher].is_down = true;
    world.spread(CLIENTS);
    world.run(6 * SECOND);
    let next = world.publisher().expect("another one publishes");
    assert_ne!(next, publisher);
    world.run(30 * SECOND);
    let now = world.common().map(ThrottlingConfig::at);
    assert!(now > before && now.map(|at| at.epoch) == before.map(|at| at.epoch), "{before:?} {now:?}");
    let goodput = goodput(&mut world, 20);
    assert!(goodput > 0.94, "{goodput}");
}

#[test]
fn the_newest_replica_says_nothing_of_its_own_and_its_end_changes_nothing() {
    let mut world = overloaded(2, 11);
    let (rate, capacity) = (world.rates()[0], world.capacity_of_first(2));
    // Its id is the lowest, so it will publish.
    world.start(1);
    let newest = world.servers.len() - 1;
    world.run(SECOND);
    let heard: Vec<_> = world.servers[newest].history.iter().map(|(_, at)| at.epoch).collect();
    let epoch = world.servers[0].said.as_ref().map(|config| config.epoch);
    assert!(heard.iter().all(|at| Some(*at) == epoch), "{heard:?}");
    assert!(world.servers[newest].said.is_none() || world.rates()[newest].is_some(), "no limit from an idle newcomer");
    world.run(20 * SECOND);
    assert_eq!(world.publisher(), Some(newest));
    let now = world.rates()[0];
    let ratio = now.unwrap_or(f64::INFINITY) / rate.unwrap_or(f64::INFINITY);
    // The newcomer has taken connections, so the others serve less.
    let left = world.capacity_of_first(2) / capacity;
    assert!((0.8..1.25).contains(&(ratio / left)), "{rate:?} {now:?} {left}");
    world.servers[newest].is_down = true;
    let before = world.common().map(ThrottlingConfig::at);
    world.run(20 * SECOND);
    let after = world.common().map(ThrottlingConfig::at);
    assert!(after > before && after.map(|at| at.epoch) == epoch, "{before:?} {after:?}");
}

#[test]
fn two_that_start_at_the_same_moment_begin_one_epoch() {
    for seed in 0..20 {
        let mut world = World::new(0, seed);
        // The second one has the lower id, so both believe for a moment that they publish, and its epoch is later.
        world.start(1010);
        world.run(Duration::from_millis(100));
        world.start(1000);
        world.run(10 * SECOND);
        assert!(world.common().is_some(), "seed {seed}");
        let epochs: BTreeSet<u64> = world.versions().map(|at| at.epoch).collect();
        assert_eq!(epochs.len(), 1, "seed {seed}: {epochs:?}");
    }
}

#[test]
fn slots_of_a_replica_without_traffic_do_not_raise_the_rate() {
    let mut world = overloaded(2, 23);
    world.start(1);
    world.run(20 * SECOND);
    world.run(30 * SECOND);
    let ratio = world.arrived / (30.0 * world.capacity_of_first(2));
    assert!((0.97..1.1).contains(&ratio), "{ratio}");
}

#[test]
fn the_streams_on_one_and_the_requests_on_another_one() {
    let mut world = settled(3, 5);
    (world.streams, world.routing) = (vec![CLIENTS, 0, 0], vec![0.2, 0.4, 0.4]);
    world.demand *= 6.0;
    world.run(10 * SECOND);
    world.run(30 * SECOND);
    let ratio = world.arrived / (30.0 * world.capacity());
    assert!((0.9..1.15).contains(&ratio), "{ratio}");
}

#[test]
fn without_the_store_each_speaks_for_itself_and_with_it_all_say_the_same_again() {
    let mut world = overloaded(3, 13);
    let before = world.common().map(ThrottlingConfig::at).expect("one config");
    world.servers.iter_mut().for_each(|server| server.reaches_store = false);
    world.run(5 * SECOND);
    let epochs: Vec<_> = world.servers.iter().filter_map(|server| Some(server.said.as_ref()?.epoch)).collect();
    assert!(epochs.iter().all(|epoch| epoch % 2 == 0 && *epoch != before.epoch), "{epochs:?}");
    assert!(world.rates().iter().all(Option::is_some), "still limited: {:?}", world.rates());
    world.run(20 * SECOND);
    // Shares are static, and smaller.
    let ratio = world.arrived / (20.0 * world.capacity());
    assert!((0.9..1.2).contains(&ratio), "{ratio}");
    world.servers.iter_mut().for_each(|server| server.reaches_store = true);
    world.run(5 * SECOND);
    let after = world.common().map(ThrottlingConfig::at).expect("one config");
    assert!(after >= before && after.epoch == before.epoch, "{before:?} {after:?}");
}

#[test]
fn a_database_that_one_replica_alone_has_lost_is_not_the_others_trouble() {
    let mut world = settled(3, 17);
    let publisher = world.publisher().expect("one publishes");
    world.servers[publisher].reaches_database = false;
    for _ in 0..100 {
        world.run(world::TICK);
        for (number, server) in world.servers.iter().enumerate() {
            let is_open = server.said.as_ref().is_some_and(|config| config.circuit_breaker_open);
            assert!(!is_open, "{number} at {:?}", world.now);
        }
    }
    assert_ne!(world.publisher(), Some(publisher));
}

#[test]
fn a_replica_that_was_alone_without_the_database_does_not_limit_the_others_when_it_is_back() {
    let mut world = overloaded(3, 29);
    let lost = world.publisher().expect("one publishes");
    (world.servers[lost].reaches_store, world.servers[lost].reaches_database) = (false, false);
    world.route_around(lost);
    world.run(15 * SECOND);
    (world.servers[lost].reaches_store, world.servers[lost].reaches_database) = (true, true);
    for _ in 0..100 {
        world.run(world::TICK);
        // What it says while it is alone is for its own clients.
        let said = world.servers.iter().filter_map(|server| server.said.as_ref()).filter(|said| said.epoch % 2 == 1);
        let reasons: Vec<_> = said.map(|config| config.reason).collect();
        assert!(!reasons.contains(&Reason::Recovering) && !reasons.contains(&Reason::Probing), "{reasons:?}");
    }
}

#[test]
fn an_emptied_store_gets_the_config_back() {
    let mut world = overloaded(3, 19);
    let before = world.common().map(ThrottlingConfig::at);
    world.empty_the_store();
    world.run(40 * SECOND);
    let after = world.common().map(ThrottlingConfig::at);
    assert!(after > before && after.map(|at| at.epoch) == before.map(|at| at.epoch), "{before:?} {after:?}");
    assert!(world.versions().all(|at| at.epoch % 2 == 1), "no replica was alone");
}
