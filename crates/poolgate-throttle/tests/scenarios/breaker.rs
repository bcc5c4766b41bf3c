//! The breaker with everything around it: the server's verdict, local evidence, the queue.

use poolgate_throttle::{Event, News, Outcome, RejectReason, Request};
use poolgate_types::CircuitState;

use crate::{
    configs::{at, fair, half_open, news, normal, open},
    world::{World, ms, secs},
};

#[test]
fn an_open_verdict_rejects_queued_and_new_requests() {
    let mut world = World::configured(fair(1, 0.1, 1), 1);
    (0..10).for_each(|_| assert!(world.submit().is_ok()));
    let waiting = world.state().queued;
    assert!(waiting >= 8);
    let _ = world.configure(news(open(2)));
    assert_eq!(world.reasons(), vec![RejectReason::CircuitOpen; waiting]);
    assert!(world.rejections.iter().all(|(_, _, why)| why.retry_after == Some(secs(5))));
    let rejection = world.submit().unwrap_err();
    assert_eq!((rejection.reason, rejection.retry_after), (RejectReason::CircuitOpen, Some(secs(5))));
    assert_eq!(world.throttle.next_wakeup(), None);
    assert!(
        world.changes.iter().any(|change| matches!(
            change,
            Event::BreakerChanged { from: CircuitState::Closed, to: CircuitState::Open }
        ))
    );
}

#[test]
fn half_open_lets_a_share_of_the_clients_send_one_at_a_time() {
    let mut probing = 0;
    for seed in 0..1000 {
        let mut world = World::configured(half_open(1, 0.1), seed);
        world.service.0 = secs(1);
        let answers = [world.submit(), world.submit()];
        match answers {
            [Ok(None), Ok(Some(_))] => {
                probing += 1;
                assert_eq!(world.state().in_flight, 1);
                world.run_for(ms(1500));
                assert_eq!((world.starts.len(), world.state().in_flight), (2, 1), "one after the other");
            }
            [Err(first), Err(_)] => assert_eq!(first.reason, RejectReason::CircuitOpen),
            other => panic!("{other:?}"),
        }
    }
    assert!((70..130).contains(&probing), "{probing} of 1,000");
}

#[test]
fn a_chosen_client_whose_probe_hangs_tries_again_after_ten_seconds() {
    let mut world = World::configured(half_open(1, 1.0), 1);
    world.service.0 = secs(3600);
    assert_eq!(world.submit(), Ok(None));
    world.run_for(secs(9));
    let _ = world.configure(News::Current(at(1)));
    let steps = {
        assert!(world.submit().unwrap().is_some());
        world.run_for(secs(2))
    };
    assert_eq!(world.starts.len(), 2);
    assert!(steps < 10, "{steps} wake-ups");
}

#[test]
fn no_contact_opens_it_and_a_successful_probe_closes_it() {
    let mut world = World::configured(normal(1), 1);
    world.service = (ms(300), Outcome::Failure);
    world.send_until(ms(1500));
    assert_eq!(world.starts.len(), 5);
    assert_eq!(world.state().breaker, CircuitState::Open);
    assert_eq!(world.submit().unwrap_err().reason, RejectReason::CircuitOpen);
    assert_eq!(world.throttle.next_wakeup(), None, "time is enough, without a timer");

    world.service = (ms(300), Outcome::Success);
    world.sleep(secs(1));
    assert_eq!(world.state().breaker, CircuitState::HalfOpen);
    assert_eq!(world.submit(), Ok(None));
    assert!(world.submit().is_err());
    world.run_for(ms(300));
    assert_eq!(world.state().breaker, CircuitState::Closed);
    assert_eq!(world.submit(), Ok(None));
}

#[test]
fn it_recovers_by_itself_after_an_outage_of_any_length() {
    for (seed, outage) in [(1, 2), (2, 20), (3, 200), (4, 2000)] {
        let mut world = World::configured(normal(1), seed);
        world.service = (ms(100), Outcome::Failure);
        world.send_until(secs(outage));
        assert_ne!(world.state().breaker, CircuitState::Closed);
        world.service.1 = Outcome::Success;
        world.send_until(secs(outage + 61));
        assert_eq!(world.state().breaker, CircuitState::Closed, "outage of {outage} s");
    }
}

#[test]
fn probes_become_rare_in_a_long_outage() {
    let mut world = World::configured(normal(1), 1);
    world.service = (ms(10), Outcome::Failure);
    world.send_until(secs(600));
    let late = world.starts.iter().filter(|(at, _)| *at > secs(120)).count();
    assert!((4..60).contains(&late), "{late} probes in 8 minutes");
}

#[test]
fn an_aborted_probe_is_not_an_answer() {
    let mut world = World::configured(normal(1), 1);
    world.service = (ms(300), Outcome::Failure);
    world.send_until(ms(1500));
    world.run_for(secs(1));
    world.service.1 = Outcome::Aborted;
    assert_eq!(world.submit(), Ok(None));
    world.run_for(ms(300));
    assert_eq!(world.state().breaker, CircuitState::HalfOpen);
    assert_eq!(world.submit(), Ok(None), "the next one may probe at once");
}

#[test]
fn failures_while_everything_passes_block_nothing() {
    let mut world = World::new(1);
    world.service = (ms(100), Outcome::Failure);
    world.send_until(secs(60));
    assert!(world.starts.len() > 500 && world.submit() == Ok(None));
}

#[test]
fn a_silent_config_route_alone_blocks_nothing() {
    let mut world = World::configured(normal(1), 1);
    for _ in 0..100 {
        let _ = world.configure(News::NoContact);
        world.run_for(ms(500));
        assert_eq!(world.submit(), Ok(None));
    }
}

#[test]
fn news_keeps_it_closed_and_brings_probes_forward() {
    let mut world = World::configured(normal(1), 1);
    world.service = (ms(300), Outcome::Failure);
    for _ in 0..50 {
        world.run_for(ms(300));
        let _ = world.configure(News::Current(at(1)));
        assert_eq!(world.submit(), Ok(None), "a server that sends news is in contact");
    }
    world.send_until(secs(300));
    assert_ne!(world.state().breaker, CircuitState::Closed);
    world.run_for(secs(10));
    world.service.1 = Outcome::Success;
    let _ = world.configure(News::Current(at(1)));
    world.run_for(secs(1));
    assert_eq!(world.submit(), Ok(None));
}

#[test]
fn a_confirmed_verdict_holds_again() {
    let mut world = World::configured(open(1), 1);
    world.run_for(secs(60));
    assert_eq!(world.state().breaker, CircuitState::HalfOpen);
    let _ = world.configure(News::Current(at(1)));
    assert_eq!(world.state().breaker, CircuitState::Open);
    assert!(world.submit().is_err());
}

#[test]
fn an_aborted_probe_that_waits_for_a_limit_blocks_no_request() {
    // By local evidence, while another request takes the only slot.
    let mut world = World::configured(normal(1), 1);
    world.service.0 = secs(1000);
    assert_eq!(world.submit(), Ok(None));
    world.service = (ms(300), Outcome::Failure);
    world.send_until(ms(1500));
    let _ = world.configure(news(fair(2, 1000.0, 1)));
    world.run_for(secs(1));
    assert_eq!(world.state().breaker, CircuitState::HalfOpen);
    let probe = world.submit().unwrap().unwrap();
    assert!(world.abort(probe));
    let _ = world.configure(news(fair(3, 1000.0, 2)));
    world.service.1 = Outcome::Success;
    assert_eq!(world.submit(), Ok(None));
    world.run_for(ms(300));
    assert_eq!(world.state().breaker, CircuitState::Closed);

    // By the server's verdict, during a pause.
    let mut world = World::configured(half_open(1, 1.0), 1);
    world.service = (ms(10), Outcome::Rejected { retry_after: Some(secs(2)) });
    assert_eq!(world.submit(), Ok(None));
    world.run_for(ms(10));
    world.service.1 = Outcome::Success;
    let probe = world.submit().unwrap().unwrap();
    assert!(world.abort(probe));
    assert!(world.submit().unwrap().is_some());
    world.run_for(secs(4));
    assert_eq!(world.starts.len(), 2);
}

#[test]
fn failures_from_before_it_closed_do_not_open_it_again() {
    let mut world = World::configured(normal(1), 1);
    // Fifty requests hang while others fail and open it.
    world.service = (ms(2500), Outcome::Failure);
    (0..50).for_each(|_| assert_eq!(world.submit(), Ok(None)));
    world.service.0 = ms(250);
    world.send_until(ms(1300));
    assert_eq!(world.state().breaker, CircuitState::Open);
    // The probe succeeds; right afterwards the fifty fail together.
    world.service = (ms(50), Outcome::Success);
    world.run_until(ms(2250));
    while world.state().breaker != CircuitState::Closed {
        let _ = world.submit();
        world.run_for(ms(10));
    }
    assert!(world.now < ms(2500));
    world.run_until(ms(2600));
    assert_eq!(world.state().breaker, CircuitState::Closed);
    assert_eq!(world.submit(), Ok(None));
}

#[test]
fn a_probe_whose_permit_is_lost_is_given_up() {
    let mut world = World::configured(normal(1), 1);
    world.service = (ms(300), Outcome::Failure);
    world.send_until(ms(1500));
    world.run_for(secs(1));
    assert_eq!(world.state().breaker, CircuitState::HalfOpen);
    drop(world.throttle.submit(Request::default(), world.now));
    assert!(world.submit().is_err(), "one at a time");
    // The probe fails after 10 s; the next one comes at most 2 s later.
    world.sleep(secs(12));
    world.service.1 = Outcome::Success;
    assert_eq!(world.submit(), Ok(None));
    world.run_for(ms(300));
    assert_eq!(world.state().breaker, CircuitState::Closed);
}
