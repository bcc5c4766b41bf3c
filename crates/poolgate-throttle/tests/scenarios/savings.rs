//! The page reloads: the budget continues, neither refilled nor lost.

use std::time::Duration;

use poolgate_throttle::{Outcome, Savings, Settings, Throttle};
use poolgate_types::{ConfigVersion, Level, ThrottlingConfig};

use crate::{
    configs::{EPOCH, fair, fixed, news, normal},
    world::{World, ms, secs},
};

const EMPTY: Savings =
    Savings { tokens: 0.0, rate_per_second: 2.0, next_cost: 1.0, paused_for_seconds: 0.0, epoch: EPOCH };

/// Starts within `time` of a user who wants more than the rate allows and reloads the page every `life`.
fn starts(config: &ThrottlingConfig, life: Duration, time: Duration, restores: bool, seed: u64) -> usize {
    let gap = ms(300);
    let (mut starts, mut elapsed, mut savings) = (0, ms(0), None);
    while elapsed < time {
        let mut world = World::new(seed.wrapping_add(elapsed.as_millis() as u64));
        // A page's clock may start at any time.
        world.now = secs(5);
        if let Some(savings) = savings.filter(|_| restores) {
            assert!(world.throttle.restore(&savings, gap, world.now));
        }
        let _ = world.configure(news(config.clone()));
        let end = world.now + life;
        while world.now < end {
            let _ = world.configure(news(config.clone()));
            while world.state().queued < 5 {
                assert!(world.submit().is_ok());
            }
            world.run_for(ms(100));
        }
        starts += world.starts.len();
        savings = world.throttle.savings(world.now);
        elapsed += life + gap;
    }
    starts
}

#[test]
fn a_reload_storm_neither_refills_nor_loses_the_budget() {
    for (rate, life) in [(0.5, ms(1500)), (0.5, ms(700)), (5.0, ms(900)), (20.0, ms(400))] {
        let config = fair(1, rate, 10);
        let starts = starts(&config, life, secs(600), true, 1) as f64;
        let ratio = starts / (rate * 600.0);
        assert!((0.85..1.05).contains(&ratio), "{ratio} of {rate}/s with a reload every {life:?}");
    }
}

#[test]
fn without_savings_a_reload_storm_misses_its_rate() {
    let ratio = |rate: f64, life| starts(&fair(1, rate, 10), life, secs(600), false, 1) as f64 / (rate * 600.0);
    assert!(ratio(0.2, secs(2)) < 1.5, "{}: each first fill adds a little", ratio(0.2, secs(2)));
    assert!(ratio(20.0, ms(400)) < 0.7, "buckets that were full are lost");
}

#[test]
fn the_six_fields_keep_their_rate_as_well() {
    let starts = starts(&fixed(1, Level::Emergency), secs(3), secs(1200), true, 1);
    assert!((85..=110).contains(&starts), "{starts} in 20 minutes at 5 a minute");
}

#[test]
fn requests_before_the_first_config_are_paid_for() {
    let mut world = World::new(1);
    let full = Savings { tokens: 5.0, rate_per_second: 20.0, ..EMPTY };
    assert!(world.throttle.restore(&full, ms(0), world.now));
    (0..40).for_each(|_| assert_eq!(world.submit(), Ok(None)));
    world.run_for(ms(60));
    let _ = world.configure(news(fair(1, 20.0, 10)));
    assert!(world.submit().unwrap().is_some(), "nothing is left");
    world.run_for(ms(200));
    assert_eq!(world.starts.len(), 41);
}

#[test]
fn a_pause_survives_a_reload() {
    let mut world = World::configured(normal(1), 1);
    world.run_for(secs(91));
    world.service = (ms(10), Outcome::Rejected { retry_after: Some(secs(4)) });
    assert_eq!(world.submit(), Ok(None));
    world.run_for(ms(10));
    let savings = world.throttle.savings(world.now).unwrap();
    assert_eq!(savings.rate_per_second, 0.0);

    let mut again = World::new(2);
    assert!(again.throttle.restore(&savings, secs(1), again.now));
    let _ = again.configure(news(normal(1)));
    let left = again.paused_for();
    assert!(left >= secs(3) && left <= secs(5), "{left:?}");
    assert!(again.submit().unwrap().is_some());
    assert_eq!(again.throttle.savings(secs(160)), None, "over");
}

#[test]
fn old_savings_and_those_of_another_epoch_give_no_more_than_a_new_client_gets() {
    let full = Savings { tokens: 50.0, rate_per_second: 200.0, ..EMPTY };
    let at_once = |savings: &Savings, age, epoch| {
        let mut world = World::new(1);
        assert!(world.throttle.restore(savings, age, world.now));
        let at = ConfigVersion { epoch, version: 1 };
        let config = ThrottlingConfig { epoch: at.epoch, version: at.version, ..fair(1, 200.0, 10) };
        let _ = world.configure(news(config));
        world.service.0 = ms(1);
        (0..60).for_each(|_| assert!(world.submit().is_ok()));
        // Ten at a time; 30 ms add almost nothing.
        world.run_for(ms(30));
        world.starts.len()
    };
    assert!(at_once(&full, secs(1), EPOCH) > 30, "saved a moment ago");
    assert!(at_once(&full, secs(3600), EPOCH) < 6, "like a newcomer");
    assert!(at_once(&full, secs(1), EPOCH + 1) < 6, "the server has restarted");
    let nearly_none = at_once(&Savings { rate_per_second: 1e-6, ..EMPTY }, secs(3600), EPOCH);
    assert!(nearly_none <= 9, "{nearly_none}: spent tokens stay spent, and 6 are earned meanwhile");
}

#[test]
fn nothing_is_saved_without_limits() {
    let mut world = World::new(1);
    assert_eq!(world.throttle.savings(world.now), None);
    let _ = world.configure(news(normal(1)));
    (0..50).for_each(|_| assert_eq!(world.submit(), Ok(None)));
    assert_eq!(world.throttle.savings(world.now), None);
    let _ = world.configure(news(fair(2, 2.0, 10)));
    assert!(world.throttle.savings(world.now).is_some());
    let _ = world.configure(news(normal(3)));
    assert!(world.throttle.savings(world.now).is_some(), "a release does not refill");
    assert_eq!(world.throttle.savings(world.now + secs(3)), None, "time does");
}

#[test]
fn impossible_savings_are_ignored() {
    let bad = [
        Savings { tokens: f64::NAN, ..EMPTY },
        Savings { tokens: -0.1, ..EMPTY },
        Savings { tokens: 2.1, ..EMPTY },
        Savings { tokens: f64::INFINITY, rate_per_second: f64::INFINITY, ..EMPTY },
        Savings { rate_per_second: f64::NAN, ..EMPTY },
        Savings { rate_per_second: -2.0, ..EMPTY },
        Savings { rate_per_second: 1e-9, ..EMPTY },
        Savings { tokens: 1.0, rate_per_second: 0.0, ..EMPTY },
        Savings { next_cost: 0.0, ..EMPTY },
        Savings { paused_for_seconds: 61.0, ..EMPTY },
        Savings { paused_for_seconds: -1.0, ..EMPTY },
        Savings { paused_for_seconds: f64::NAN, ..EMPTY },
    ];
    for savings in bad {
        let mut throttle = Throttle::new(Settings::default(), 1);
        assert!(!throttle.restore(&savings, ms(0), ms(0)), "{savings:?}");
        assert_eq!(throttle.savings(ms(0)), None);
    }
    for age in [ms(0), secs(1), Duration::MAX] {
        assert!(Throttle::new(Settings::default(), 1).restore(&EMPTY, age, Duration::MAX));
    }
}

#[test]
fn a_budget_handed_over_while_another_rate_is_in_force_keeps_its_share() {
    let mut world = World::configured(fair(1, 10.0, 10), 1);
    assert!(world.throttle.restore(&Savings { tokens: 1.0, ..EMPTY }, ms(0), world.now));
    let savings = world.throttle.savings(world.now).unwrap();
    assert!((savings.tokens - 2.5 * 2.0 / 3.0).abs() < 1e-9 && savings.rate_per_second == 10.0, "two thirds of 2.5");
}
