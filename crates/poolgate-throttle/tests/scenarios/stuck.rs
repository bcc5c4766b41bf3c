//! How other breakers got stuck or let everything through, from their issue trackers.

use poolgate_throttle::{Outcome, RejectReason, Request, Settings};
use poolgate_types::CircuitState;

use crate::{
    configs::{fair, half_open, news, normal},
    world::{World, ms, secs},
};

/// Opened by local evidence at 1.5 s.
fn opened() -> World {
    let mut world = World::configured(normal(1), 1);
    world.service = (ms(300), Outcome::Failure);
    world.send_until(ms(1500));
    assert_eq!(world.state().breaker, CircuitState::Open);
    world
}

/// nodeshift/opossum#119: half-open is not open any more, so all requests passed.
#[test]
fn half_open_lets_one_of_a_hundred_pass() {
    let mut world = opened();
    world.sleep(secs(1));
    let before = world.starts.len();
    let passed = (0..100).filter(|_| world.submit() == Ok(None)).count();
    assert_eq!((passed, world.starts.len()), (1, before + 1));
}

/// nodeshift/opossum#119 and #276: one failure is below the threshold, so a failed probe neither opened it again nor
/// caused a later probe.
#[test]
fn a_failed_probe_opens_again_and_another_follows() {
    let mut world = opened();
    for _ in 0..20 {
        world.sleep(secs(61));
        assert_eq!(world.state().breaker, CircuitState::HalfOpen);
        assert_eq!(world.submit(), Ok(None));
        world.run_for(ms(300));
        assert_eq!(world.submit().unwrap_err().reason, RejectReason::CircuitOpen);
    }
    world.sleep(secs(61));
    world.service.1 = Outcome::Success;
    assert_eq!(world.submit(), Ok(None));
    world.run_for(ms(300));
    assert_eq!(world.state().breaker, CircuitState::Closed);
}

/// nodeshift/opossum#385: of simultaneous failures the fifth opened it and started a timer, the sixth stopped that
/// timer.
#[test]
fn failures_at_the_same_time_do_not_keep_it_open() {
    let mut world = World::configured(normal(1), 1);
    world.service = (ms(1500), Outcome::Failure);
    assert_eq!(world.submit(), Ok(None));
    world.run_for(ms(1400));
    world.service.0 = ms(1200);
    (0..10).for_each(|_| assert_eq!(world.submit(), Ok(None)));
    world.run_for(ms(1200));
    assert_eq!(world.state().breaker, CircuitState::Open);
    world.sleep(secs(1));
    assert_eq!(world.state().breaker, CircuitState::HalfOpen);
    assert_eq!(world.submit(), Ok(None));
}

/// nodeshift/opossum#484: after the probe's success the next call was rejected.
#[test]
fn closed_stays_closed() {
    let mut world = opened();
    world.sleep(secs(1));
    world.service.1 = Outcome::Success;
    assert_eq!(world.submit(), Ok(None));
    world.run_for(ms(300));
    (0..100).for_each(|_| assert_eq!(world.submit(), Ok(None)));
}

/// nodeshift/opossum#388: a probe whose error was filtered out was neither success nor failure.
#[test]
fn every_outcome_ends_a_probe() {
    for outcome in [Outcome::Aborted, Outcome::Failure, Outcome::Rejected { retry_after: None }, Outcome::Success] {
        let mut world = opened();
        world.sleep(secs(1));
        world.service.1 = outcome;
        assert_eq!(world.submit(), Ok(None));
        world.run_for(ms(300));
        // At most two seconds of backoff, or of a pause.
        world.run_for(secs(2));
        assert_eq!(world.submit(), Ok(None), "{outcome:?}");
    }
}

/// nodeshift/opossum#719: a process that is suspended when the timer would fire never becomes half-open.
#[test]
fn a_tab_that_slept_may_probe_when_it_wakes() {
    let mut world = opened();
    assert_eq!(world.throttle.next_wakeup(), None);
    world.sleep(secs(8 * 3600));
    assert_eq!(world.state().breaker, CircuitState::HalfOpen);
    assert_eq!(world.submit(), Ok(None));
}

/// alibaba/Sentinel#1638: a probe that the next rule blocked never ended.
#[test]
fn a_probe_that_another_limit_rejects_is_no_probe() {
    let settings = Settings { max_queue: 1, ..Settings::default() };
    let mut world = World::with_settings(settings, 1);
    let _ = world.configure(news(normal(1)));
    world.service = (ms(300), Outcome::Failure);
    world.send_until(ms(1500));
    world.sleep(secs(1));
    let _ = world.configure(news(fair(2, 0.001, 10)));
    assert_eq!(world.state().breaker, CircuitState::HalfOpen);
    // The rate holds the first one back until its timeout; the queue has no place for the second.
    assert!(world.submit_as(Request { queue_timeout: Some(secs(1)), ..Request::default() }).unwrap().is_some());
    assert_eq!(world.submit().unwrap_err().reason, RejectReason::QueueFull);
    world.run_for(secs(1));
    assert_eq!(world.reasons(), [RejectReason::QueueTimeout]);
    let _ = world.configure(news(fair(3, 1000.0, 10)));
    world.service.1 = Outcome::Success;
    world.run_for(ms(10));
    assert_eq!(world.submit(), Ok(None));
    world.run_for(ms(300));
    assert_eq!(world.state().breaker, CircuitState::Closed);
}

/// alibaba/sentinel-golang#196, from the server's side: a client that is not chosen to probe must not wait for ever for
/// a verdict.
#[test]
fn an_unchosen_client_is_held_back_only_while_the_verdict_is_fresh() {
    let mut world = World::configured(half_open(1, 0.0), 1);
    world.service.1 = Outcome::Success;
    assert_eq!(world.submit().unwrap_err().reason, RejectReason::CircuitOpen);
    world.run_for(secs(12));
    assert_eq!(world.submit(), Ok(None), "after its time to live and the random second");
    world.run_for(ms(100));
    assert_eq!(world.state().breaker, CircuitState::Closed);
}
