//! The gate's `Retry-After`.

use std::time::Duration;

use poolgate_throttle::{Outcome, Priority, RejectReason, Request};

use crate::{
    configs::{fair, news, normal},
    world::{World, ms, secs},
};

const fn rejected(seconds: u64) -> Outcome {
    Outcome::Rejected { retry_after: Some(secs(seconds)) }
}

/// When a config without limits becomes stale.
const STALE: Duration = secs(91);

/// A client with a stale config whose last request the gate has rejected.
fn after(outcome: Outcome, seed: u64) -> World {
    let mut world = World::configured(normal(1), seed);
    world.run_for(STALE);
    world.service = (ms(10), outcome);
    assert_eq!(world.submit(), Ok(None));
    world.run_for(ms(10));
    world.service = (ms(10), Outcome::Success);
    world
}

#[test]
fn one_rejection_pauses_all_requests_briefly() {
    for seed in 0..100 {
        let mut world = after(rejected(2), seed);
        for priority in Priority::ALL {
            assert!(world.submit_at(priority).unwrap().is_some());
        }
        world.run_for(ms(1999));
        assert_eq!(world.starts.len(), 1);
        world.run_for(ms(1001));
        assert_eq!(world.starts.len(), 5, "over after one and a half times Retry-After");
        assert_eq!(world.submit(), Ok(None));
        assert!(world.rejections.is_empty());
    }
}

#[test]
fn clients_rejected_together_do_not_return_together() {
    let ends = (0..500).map(|seed| {
        let mut world = after(rejected(2), seed);
        assert!(world.submit().is_ok());
        world.run_for(secs(4));
        world.starts[1].0
    });
    let mut bins = [0_u32; 40];
    ends.for_each(|at| bins[((at - STALE).as_millis() / 100) as usize] += 1);
    let busiest = bins.iter().max().unwrap();
    assert!(*busiest < 90, "500 over 10 bins: {bins:?}");
}

#[test]
fn a_rejection_without_retry_after_counts_as_one_second() {
    let world = after(Outcome::Rejected { retry_after: None }, 1);
    let paused_for = world.paused_for();
    assert!(paused_for >= secs(1) && paused_for <= ms(1500), "{paused_for:?}");
}

#[test]
fn a_pause_lasts_a_minute_at_most_and_the_queue_timeout_still_acts() {
    let mut world = after(rejected(86_400), 1);
    assert!(world.submit().unwrap().is_some());
    world.run_for(secs(60));
    assert_eq!(world.reasons(), [RejectReason::QueueTimeout]);
    let retry_after = world.rejections[0].2.retry_after.unwrap();
    assert!(retry_after > secs(39) && retry_after <= secs(50), "{retry_after:?}");
    assert_eq!(world.submit(), Ok(None));
}

#[test]
fn a_shorter_one_does_not_shorten_it() {
    let mut world = World::configured(normal(1), 1);
    world.run_for(STALE);
    for (seconds, after) in [(20, 10), (1, 20), (2, 30)] {
        world.service = (ms(after), rejected(seconds));
        assert_eq!(world.submit(), Ok(None));
    }
    world.run_for(ms(30));
    assert!(world.paused_for() > ms(19_900));
}

#[test]
fn a_pause_acts_with_a_fresh_config_without_limits() {
    let mut world = World::configured(normal(1), 1);
    world.service = (ms(10), rejected(2));
    assert_eq!(world.submit(), Ok(None));
    world.run_for(ms(10));
    assert!(world.submit().unwrap().is_some());
    world.run_for(ms(1999));
    assert_eq!(world.starts.len(), 1);
    world.run_for(secs(1));
    assert_eq!(world.starts.len(), 2);
}

#[test]
fn a_pause_does_not_act_while_a_fair_rate_is_in_force() {
    let mut world = World::configured(fair(1, 2.0, 10), 1);
    world.throttle.turned_away(Some(secs(60)), None, world.now);
    assert!(world.state().eta.unwrap().earliest < secs(1), "only the rate limits");
    assert_eq!(world.throttle.savings(world.now).unwrap().paused_for_seconds, 0.0);

    let mut world = World::configured(normal(1), 1);
    world.throttle.turned_away(Some(secs(60)), None, world.now);
    assert!(world.submit().unwrap().is_some());
    let _ = world.configure(news(fair(2, 2.0, 10)));
    world.run_for(secs(2));
    assert_eq!(world.starts.len(), 1, "a pause in force ends with the first rate");
    assert!(world.state().eta.unwrap().earliest < secs(1));
    let _ = world.configure(news(normal(3)));
    assert!(world.paused_for() > secs(50), "and is back when the rate ends before it");
}

#[test]
fn a_rejection_can_be_reported_after_completion() {
    let mut world = World::configured(normal(1), 1);
    assert_eq!(world.submit(), Ok(None));
    world.run_for(ms(50));
    world.throttle.turned_away(Some(secs(2)), None, world.now);
    assert!(world.submit().unwrap().is_some());
    let mut passing = World::new(1);
    passing.throttle.turned_away(Some(secs(2)), None, passing.now);
    assert_eq!(passing.submit(), Ok(None), "without a config nothing acts");
}

#[test]
fn a_bypassing_request_ignores_the_pause() {
    let mut world = after(rejected(5), 1);
    assert_eq!(world.submit_as(Request { bypass: true, ..Request::default() }), Ok(None));
}
