//! The limits of a config that has not been confirmed for too long.

use poolgate_throttle::{Configured, Limits, News};
use poolgate_types::{CircuitState, ConfigHeader, Level};

use crate::{
    configs::{at, fair, fixed, half_open, news, normal, open},
    world::{World, ms, secs},
};

#[test]
fn limits_decay_to_the_normal_row_with_a_half_life_of_ten_seconds() {
    let mut world = World::configured(fixed(1, Level::Emergency), 1);
    let per_minute = |world: &World| world.state().rate_per_second.unwrap() * 60.0;
    world.sleep(ms(9_999));
    assert!((per_minute(&world) - 5.0).abs() < 1e-6 && !world.state().stale);
    world.sleep(ms(10_001));
    assert!((per_minute(&world) - 52.5).abs() < 1e-6 && world.state().stale);
    world.sleep(secs(10));
    assert!((per_minute(&world) - 76.25).abs() < 1e-6);
    world.sleep(secs(100));
    let limits = world.state().limits;
    assert_eq!((limits.concurrency, limits.per_minute, limits.spacing), (Some(10), Some(100), ms(100)));
}

#[test]
fn decaying_limits_start_queued_requests() {
    // At 5 a minute, 12 more requests would take more than two minutes.
    let mut world = World::configured(fixed(1, Level::Emergency), 1);
    world.sleep(secs(8));
    (0..12).for_each(|_| assert!(world.submit().is_ok()));
    world.run_for(secs(10));
    let before = world.starts.len();
    world.run_for(secs(30));
    (0..12).for_each(|_| assert!(world.submit().is_ok()));
    world.run_for(secs(10));
    let after = world.starts.len() - before;
    assert!(before <= 4 && after >= 10, "{before} starts at first, {after} later");
}

#[test]
fn news_of_the_current_version_renews_it() {
    let config = fair(7, 0.5, 2);
    let renewals = [news(config.clone()), News::Header(ConfigHeader::from(&config)), News::Current(at(7))];
    let mut world = World::configured(config, 1);
    for news in renewals.into_iter().cycle().take(30) {
        world.run_for(secs(9));
        assert_eq!(world.configure(news), Configured::Unchanged);
        assert!(!world.state().stale);
        assert_eq!(world.state().rate_per_second, Some(0.5));
    }
    world.run_for(secs(9));
    for unhelpful in [News::Current(at(6)), News::Current(at(8)), News::NoContact, News::HeaderMissing] {
        let _ = world.configure(unhelpful);
    }
    assert_eq!(world.state().rate_per_second, Some(0.5), "a missing header does not release a fresh config");
    world.run_for(secs(2));
    assert!(world.state().stale);
    let _ = world.configure(News::Current(at(7)));
    assert_eq!(world.state().rate_per_second, Some(0.5), "found again, in force again");
}

#[test]
fn without_the_header_stale_limits_are_released_at_once() {
    let mut world = World::configured(fair(1, 0.1, 1), 1);
    world.sleep(secs(11));
    (0..20).for_each(|_| assert!(world.submit().is_ok()));
    assert!(world.state().queued > 15);
    assert_eq!(world.configure(News::HeaderMissing), Configured::Applied);
    assert_eq!(world.state().queued, 0);
    assert_eq!(world.state().limits, Limits::default());
    assert!(!world.state().enforced);
    assert_eq!(world.configure(News::HeaderMissing), Configured::Unchanged);
    let _ = world.configure(News::Current(at(1)));
    assert!(world.state().enforced, "its server is back");
}

#[test]
fn a_stale_config_without_limits_stays_without_limits() {
    let mut world = World::configured(normal(1), 1);
    world.sleep(secs(89));
    assert!(!world.state().stale);
    world.sleep(secs(3600));
    assert!(world.state().stale);
    assert!((0..1000).all(|_| world.submit() == Ok(None)));
}

#[test]
fn a_stale_open_verdict_becomes_a_probe() {
    for (seed, config) in [(1, open(1)), (2, half_open(1, 0.0))] {
        let mut world = World::configured(config, seed);
        world.run_for(secs(5));
        assert!(world.submit().is_err());
        world.run_for(secs(7));
        assert_eq!(world.state().breaker, CircuitState::HalfOpen);
        assert_eq!(world.submit(), Ok(None), "one probes");
        assert!(world.submit().is_err(), "and only one");
        world.run_for(secs(1));
        assert_eq!(world.state().breaker, CircuitState::Closed);
        assert!((0..10).all(|_| world.submit() == Ok(None)));
    }
}

#[test]
fn while_limits_decay_a_queued_request_checks_every_second() {
    let mut world = World::configured(fixed(1, Level::Emergency), 1);
    world.run_for(secs(15));
    (0..5).for_each(|_| assert!(world.submit().is_ok()));
    assert!(world.state().queued > 0);
    assert!(world.throttle.next_wakeup().unwrap() <= world.now + secs(1));
}
