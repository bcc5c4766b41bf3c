//! Which limits act when: none, a fair rate, the six fields.

use poolgate_throttle::{Limits, News, Outcome, Request, Settings, Submitted, Throttle};
use poolgate_types::{Level, SixFields};

use crate::{
    configs::{fair, fixed, news, normal},
    world::{World, ms, secs},
};

#[test]
fn everything_passes_before_the_first_config() {
    let mut world = World::new(1);
    assert!((0..1000).all(|_| world.submit() == Ok(None)));
    assert_eq!(world.state().in_flight, 1000);
    assert!(world.state().passes_through);
    assert_eq!(world.throttle.next_wakeup(), None);
    world.run_for(secs(1));
    assert_eq!(world.state().in_flight, 0);
}

#[test]
fn without_a_config_route_everything_passes() {
    let mut world = World::configured(fixed(1, Level::Emergency), 1);
    (0..20).for_each(|_| assert!(world.submit().is_ok()));
    assert!(world.state().queued >= 18);
    let _ = world.configure(News::NotFound);
    assert_eq!(world.state().queued, 0, "queued requests start");
    world.run_for(secs(3600));
    assert!((0..1000).all(|_| world.submit() == Ok(None)));
    assert_eq!(world.state().limits, Limits::default());
}

#[test]
fn nothing_is_limited_when_nothing_is_enforced() {
    let mut world = World::configured(normal(1), 1);
    assert!((0..1000).all(|_| world.submit() == Ok(None)));
    assert!(!world.state().enforced && !world.state().passes_through);
    assert_eq!(world.throttle.next_wakeup(), None, "no timer with an empty queue");
}

#[test]
fn a_fair_rate_is_held_and_used() {
    for rate in [0.2, 2.0, 20.0] {
        let mut world = World::configured(fair(1, rate, 10), 3);
        for _ in 0..2000 {
            let _ = world.configure(news(fair(1, rate, 10)));
            while world.state().queued < 20 {
                assert!(world.submit().is_ok());
            }
            world.run_for(secs(1));
        }
        let expected = rate * 2000.0;
        let ratio = world.starts.len() as f64 / expected;
        assert!((0.9..1.05).contains(&ratio), "{ratio} of the rate {rate}");
    }
}

#[test]
fn a_fair_rate_has_no_minimum_spacing() {
    let mut world = World::configured(fair(1, 50.0, 10), 1);
    (0..100).for_each(|_| assert!(world.submit().is_ok()));
    world.run_for(secs(3));
    let gaps = world.starts.windows(2).map(|pair| pair[1].0 - pair[0].0);
    assert!(gaps.min().unwrap() < ms(20), "the six fields would ask for 100 ms");
}

#[test]
fn the_concurrency_limit_is_kept() {
    let mut world = World::configured(fair(1, 1000.0, 3), 1);
    world.service.0 = secs(5);
    (0..50).for_each(|_| assert!(world.submit().is_ok()));
    world.run_for(secs(4));
    assert_eq!(world.state().in_flight, 3);
    let _ = world.configure(news(fair(2, 1000.0, 5)));
    assert_eq!(world.state().in_flight, 5);
    let _ = world.configure(news(fair(3, 1000.0, 1)));
    world.run_for(secs(2));
    assert_eq!(world.state().in_flight, 2, "requests in flight continue, and none starts above the limit");
}

#[test]
fn the_six_fields_hold_literally() {
    for level in [Level::Normal, Level::Moderate, Level::Aggressive, Level::Emergency] {
        let row = SixFields::of(level);
        let mut world = World::configured(fixed(1, level), 11);
        for second in 1..=600 {
            let _ = world.configure(news(fixed(1, level)));
            while world.state().queued < 30 {
                assert!(world.submit().is_ok());
            }
            world.run_until(secs(second));
            assert!(world.state().in_flight <= row.concurrency);
        }
        let starts: Vec<_> = world.starts.iter().map(|(at, _)| *at).collect();
        assert!(starts.windows(2).all(|pair| pair[1] - pair[0] >= ms(row.delay_ms.into())));
        let most = row.per_minute as usize;
        assert!(starts.windows(most + 1).all(|span| span[most] - span[0] >= secs(60)), "{level:?}");
        assert!(starts.len() >= most * 10 * 85 / 100, "{level:?} uses {} of its budget", starts.len());
    }
}

#[test]
fn a_change_of_level_neither_refills_nor_loses_the_budget() {
    // Flapping between two rates every 100 ms must not allow more than the higher one.
    let mut world = World::configured(fair(1, 2.0, 10), 5);
    for version in 2..602 {
        let rate = if version % 2 == 0 { 1.0 } else { 2.0 };
        let _ = world.configure(news(fair(version, rate, 10)));
        while world.state().queued < 5 {
            assert!(world.submit().is_ok());
        }
        world.run_for(ms(100));
    }
    let starts = world.starts.len();
    assert!((70..=110).contains(&starts), "{starts} starts in 60 s at 1.5/s on average");
}

#[test]
fn short_releases_do_not_refill() {
    // 900 ms enforced, 100 ms released, a thousand times; the client asks only while the limit is on.
    let mut world = World::configured(fair(1, 0.5, 10), 5);
    for round in 0..1000 {
        let _ = world.configure(news(fair(2 * round + 2, 0.5, 10)));
        let waiting = world.submit().unwrap();
        world.run_for(ms(900));
        if let Some(id) = waiting {
            world.abort(id);
        }
        let _ = world.configure(news(normal(2 * round + 3)));
        world.run_for(ms(100));
    }
    let starts = world.starts.len();
    assert!((300..=550).contains(&starts), "{starts} starts in 1,000 s at 0.5/s");
}

#[test]
fn bypassing_is_neither_limited_nor_counted() {
    let mut world = World::configured(fixed(1, Level::Emergency), 1);
    world.service.0 = secs(3600);
    let bypass = Request { bypass: true, ..Request::default() };
    assert!((0..100).all(|_| world.submit_as(bypass) == Ok(None)));
    assert_eq!(world.state().in_flight, 0);
    assert!(world.submit().is_ok());
    world.run_for(secs(9));
    assert!(world.state().in_flight <= 1);
}

#[test]
fn a_permit_of_another_throttle_changes_nothing() {
    let mut old = Throttle::new(Settings::default(), 1);
    let Submitted::Start(foreign) = old.submit(Request::default(), secs(0)) else { panic!("passes") };
    let mut new = Throttle::new(Settings::default(), 1);
    let Submitted::Start(own) = new.submit(Request::default(), secs(0)) else { panic!("passes") };
    assert_eq!(foreign.id(), own.id(), "equal except for their source");
    new.complete(foreign, Outcome::Success, secs(1));
    assert_eq!(new.state(secs(1)).in_flight, 1);
    new.complete(own, Outcome::Success, secs(1));
    assert_eq!(new.state(secs(1)).in_flight, 0);
}

#[test]
fn equal_seeds_and_calls_give_equal_decisions() {
    let run = |seed| {
        let mut world = World::configured(fair(1, 2.0, 2), seed);
        (0..20).for_each(|_| assert!(world.submit().is_ok()));
        world.run_for(secs(9));
        world.starts
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn a_clock_that_jumps_back_stands_still() {
    let mut world = World::configured(fair(1, 1.0, 10), 1);
    (0..5).for_each(|_| assert!(world.submit().is_ok()));
    world.run_for(secs(2));
    let before = world.state();
    world.now = ms(1);
    assert_eq!(world.throttle.state(world.now), before);
    let wakeup = world.throttle.next_wakeup().unwrap();
    assert!(world.throttle.poll(world.now).is_none());
    assert_eq!(world.throttle.next_wakeup(), Some(wakeup));
    assert!(wakeup > secs(2));
}
