//! Which requests wait, how long, and which leave.

use std::time::Duration;

use poolgate_throttle::{News, Outcome, Priority, RejectReason, Request, Settings};

use crate::{
    configs::{fair, news},
    world::{World, ms, secs},
};

/// A world in which one request runs for a day and no other may start.
fn blocked(settings: Settings) -> World {
    let mut world = World::with_settings(settings, 1);
    world.service.0 = secs(100_000);
    assert_eq!(world.submit(), Ok(None));
    let _ = world.configure(news(fair(1, 1000.0, 1)));
    world
}

fn small(max_queue: usize) -> Settings {
    Settings { max_queue, ..Settings::default() }
}

#[test]
fn the_queue_is_bounded() {
    let mut world = blocked(small(3));
    (0..3).for_each(|_| assert!(world.submit().unwrap().is_some()));
    assert_eq!(world.submit().unwrap_err().reason, RejectReason::QueueFull);
    assert_eq!(world.state().queued, 3);
}

#[test]
fn without_a_queue_what_cannot_start_is_rejected() {
    let mut world = blocked(small(0));
    assert_eq!(world.submit().unwrap_err().reason, RejectReason::QueueFull);
    assert_eq!(world.throttle.next_wakeup(), None);
}

#[test]
fn a_full_queue_sheds_the_newest_of_the_least_important() {
    let mut world = blocked(small(4));
    let normal = world.submit_at(Priority::Normal).unwrap().unwrap();
    let low = world.submit_at(Priority::Low).unwrap().unwrap();
    let newer_low = world.submit_at(Priority::Low).unwrap().unwrap();
    let high = world.submit_at(Priority::High).unwrap().unwrap();

    assert!(world.submit_at(Priority::Low).is_err(), "no queued request has a lower priority");
    let newer_normal = world.submit_at(Priority::Normal).unwrap().unwrap();
    world.submit_at(Priority::Critical).unwrap().unwrap();
    world.submit_at(Priority::Critical).unwrap().unwrap();
    let shed: Vec<_> = world.rejections.iter().map(|(_, id, _)| *id).collect();
    assert_eq!(shed, [newer_low, low, newer_normal]);
    assert_eq!(world.reasons(), [RejectReason::QueueFull; 3]);
    assert_eq!(world.state().queued, 4);
    assert!(world.abort(normal) && world.abort(high), "these two still wait");
}

#[test]
fn no_request_waits_past_its_deadline() {
    let mut world = blocked(Settings::default());
    let default = world.submit().unwrap().unwrap();
    let own = Request { queue_timeout: Some(ms(700)), ..Request::default() };
    let impatient = world.submit_as(own).unwrap().unwrap();
    world.run_for(secs(20));
    let left: Vec<_> = world.rejections.iter().map(|(at, id, _)| (*at, *id)).collect();
    assert_eq!(left, [(ms(700), impatient), (secs(10), default)]);
    assert_eq!(world.reasons(), [RejectReason::QueueTimeout; 2]);
}

#[test]
fn a_new_request_does_not_overtake_queued_ones() {
    let mut world = World::configured(fair(1, 1.0, 10), 1);
    (0..5).for_each(|_| assert!(world.submit().is_ok()));
    assert!(world.state().queued > 0);
    // The budget has grown meanwhile, but the timer has not fired.
    world.sleep(secs(5));
    assert!(world.submit().unwrap().is_some());
    let started: Vec<_> = world.starts.iter().map(|(_, id)| *id).collect();
    assert!(started.is_sorted(), "{started:?}");
}

#[test]
fn an_expired_request_makes_room() {
    let mut world = blocked(small(1));
    let old = world.submit().unwrap().unwrap();
    world.sleep(secs(11));
    assert!(world.submit_at(Priority::Low).unwrap().is_some());
    let left: Vec<_> = world.rejections.iter().map(|(_, id, rejection)| (*id, rejection.reason)).collect();
    assert_eq!(left, [(old, RejectReason::QueueTimeout)]);
}

#[test]
fn an_hour_is_the_longest_wait() {
    let mut world = blocked(Settings::default());
    let request = Request { queue_timeout: Some(Duration::MAX), ..Request::default() };
    assert!(world.submit_as(request).unwrap().is_some());
    while world.now < secs(3600) {
        assert!(world.rejections.is_empty());
        let _ = world.configure(news(fair(1, 1000.0, 1)));
        world.run_for(secs(9));
    }
    assert_eq!(world.reasons(), [RejectReason::QueueTimeout]);
}

#[test]
fn a_zero_timeout_rejects_at_once() {
    let mut world = blocked(Settings::default());
    let request = Request { queue_timeout: Some(ms(0)), ..Request::default() };
    assert_eq!(world.submit_as(request).unwrap_err().reason, RejectReason::QueueTimeout);
}

#[test]
fn a_rejected_request_is_told_when_to_return() {
    let mut world = World::configured(fair(1, 0.1, 10), 1);
    let patient = Request { queue_timeout: Some(secs(1)), ..Request::default() };
    (0..3).for_each(|_| assert!(world.submit_as(patient).is_ok()));
    world.run_for(secs(2));
    let (_, _, rejection) = world.rejections.last().unwrap();
    let retry_after = rejection.retry_after.unwrap();
    assert!(retry_after > ms(0) && retry_after <= secs(15), "{retry_after:?}");
}

#[test]
fn an_aborted_request_costs_nothing_and_delays_no_other() {
    let mut world = World::configured(fair(1, 0.5, 1), 1);
    let mut waiting = Vec::new();
    for _ in 0..6 {
        waiting.extend(world.submit().unwrap());
    }
    let reference: Vec<_> = {
        let mut other = World::configured(fair(1, 0.5, 1), 1);
        (0..6).for_each(|_| assert!(other.submit().is_ok()));
        other.run_for(secs(9));
        other.starts.iter().map(|(at, _)| *at).collect()
    };
    // Every second request is aborted before its turn; the others start in its place.
    let gone: Vec<_> = waiting.iter().copied().step_by(2).collect();
    assert!(gone.iter().all(|id| world.abort(*id)));
    assert!(gone.iter().all(|id| !world.abort(*id)), "only once");
    world.run_for(secs(9));
    let starts: Vec<_> = world.starts.iter().map(|(at, _)| *at).collect();
    assert!(starts.len() >= 2 && reference.starts_with(&starts));
    assert!(world.starts.iter().all(|(_, id)| !gone.contains(id)));
    assert!(world.rejections.iter().all(|(_, id, _)| !gone.contains(id)), "an abort is not an event");
}

#[test]
fn an_abort_in_flight_frees_its_slot_but_not_its_token() {
    let starts = |outcome, rate| {
        let mut world = World::configured(fair(1, rate, 1), 1);
        world.service = (ms(20), outcome);
        (0..6).for_each(|_| assert!(world.submit().is_ok()));
        world.run_for(secs(5));
        world.starts.iter().map(|(at, _)| *at).collect::<Vec<_>>()
    };
    let by_slot = starts(Outcome::Aborted, 1000.0);
    assert!(by_slot.len() == 6 && by_slot.windows(2).skip(1).all(|pair| pair[1] - pair[0] == ms(20)), "{by_slot:?}");
    assert_eq!(starts(Outcome::Aborted, 2.0), starts(Outcome::Success, 2.0));
}

#[test]
fn requests_that_leave_the_queue_hold_no_slot() {
    let mut world = World::configured(fair(1, 1000.0, 1), 1);
    world.run_for(ms(10));
    world.service.0 = secs(2);
    assert_eq!(world.submit(), Ok(None));
    let impatient = Request { queue_timeout: Some(secs(1)), ..Request::default() };
    let gone: Vec<_> = (0..50).filter_map(|_| world.submit().unwrap()).collect();
    (0..50).for_each(|_| assert!(world.submit_as(impatient).unwrap().is_some()));
    assert!(gone.iter().all(|id| world.abort(*id)));
    world.run_for(ms(1500));
    assert_eq!(world.reasons(), [RejectReason::QueueTimeout; 50]);
    let next = world.submit().unwrap();
    world.run_for(ms(501));
    assert_eq!(
        world.starts.last().map(|(at, id)| (*at, Some(*id))),
        Some((ms(2010), next)),
        "the slot's only holder ended"
    );
    assert_eq!((world.state().in_flight, world.state().queued), (1, 0));
}

#[test]
fn priority_first_then_arrival() {
    let mut world = blocked(Settings::default());
    let ids: Vec<_> = [Priority::Low, Priority::Normal, Priority::High, Priority::Critical, Priority::High]
        .into_iter()
        .map(|priority| world.submit_at(priority).unwrap().unwrap())
        .collect();
    let _ = world.configure(News::NotFound);
    let started: Vec<_> = world.starts.iter().skip(1).map(|(_, id)| *id).collect();
    assert_eq!(started, [ids[3], ids[2], ids[4], ids[1], ids[0]]);
}

#[test]
fn low_priority_does_not_starve_under_lasting_overload() {
    let mut world = World::configured(fair(1, 10.0, 10), 1);
    let mut submitted = [const { Vec::new() }; 4];
    for step in 0..1200 {
        let _ = world.configure(news(fair(1, 10.0, 10)));
        // Critical requests alone exceed the rate; the others come on top. Waits stay too short to fill the queue.
        for priority in Priority::ALL {
            if priority == Priority::Critical || step % 2 == 0 {
                let request = Request { priority, queue_timeout: Some(secs(2)), bypass: false };
                submitted[priority as usize].extend(world.submit_as(request).unwrap());
            }
        }
        world.run_for(ms(50));
    }
    let started = |priority: Priority| {
        let ids = &submitted[priority as usize];
        world.starts.iter().filter(|(_, id)| ids.contains(id)).count()
    };
    let shares = Priority::ALL.map(started);
    let [critical, high, normal, low] = shares;
    assert!(critical > high && high > normal && normal > low, "{shares:?}");
    assert!(low >= 600 / 20, "{shares:?} of some 600 starts");
}

/// 10,000 wait; 100,000 are aborted at random moments, some of them in flight.
#[test]
fn a_hundred_thousand_aborts_leave_nothing_behind() {
    let mut world = World::with_settings(small(10_000), 1);
    world.service = (ms(40), Outcome::Aborted);
    let _ = world.configure(news(fair(1, 1000.0, 10)));
    let (mut waiting, mut aborted, mut random) = (Vec::new(), 0, 1_u64);
    let mut draw = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) as usize % below
    };
    while aborted < 100_000 {
        while world.state().queued < 10_000 {
            let queue_timeout = Some(ms(1 + draw(60_000) as u64));
            let request = Request { priority: Priority::ALL[draw(4)], queue_timeout, bypass: false };
            waiting.extend(world.submit_as(request).unwrap());
        }
        for _ in 0..1000 {
            let id = waiting.swap_remove(draw(waiting.len()));
            aborted += u32::from(world.abort(id));
        }
        let _ = world.configure(news(fair(1, 1000.0, 10)));
        world.run_for(ms(draw(20) as u64));
    }
    waiting.retain(|id| world.throttle.abort(*id, world.now));
    world.run_for(secs(1));
    assert_eq!((world.state().in_flight, world.state().queued), (0, 0));
    assert_eq!(world.throttle.next_wakeup(), None);
    assert!(world.starts.len() > 100);
}

#[test]
fn closing_rejects_queued_requests_and_lets_later_ones_pass() {
    let mut world = blocked(Settings::default());
    (0..5).for_each(|_| assert!(world.submit().is_ok()));
    let _ = world.configure(News::Closed);
    assert_eq!(world.reasons(), [RejectReason::Closed; 5]);
    assert!((0..100).all(|_| world.submit() == Ok(None)));
    let _ = world.configure(news(fair(2, 0.1, 1)));
    assert!(world.state().passes_through, "for good");
}
