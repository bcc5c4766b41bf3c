//! Order of starts under overload.

use std::time::Duration;

use poolgate_throttle::{Order, Priority, RejectReason, Request, Settings};
use poolgate_types::Level;

use crate::{
    configs::{at, fair, fixed, news, normal},
    world::{World, ms, secs},
};

fn world(order: Order, rate: f64) -> World {
    let mut world = World::with_settings(Settings { order, ..Settings::default() }, 1);
    let _ = world.configure(news(fair(1, rate, 10)));
    world
}

/// Requests at three times the rate for half a minute, each with this `timeout`. Returns the share of the starts that
/// come while a user who waits two seconds is still there, with 200 ms to go.
fn useful_starts(order: Order, timeout: Duration) -> f64 {
    const PATIENCE: Duration = secs(2);
    const SERVICE: Duration = ms(200);
    let mut world = world(order, 5.0);
    let mut submitted = Vec::new();
    for _ in 0..450 {
        let _ = world.configure(news(fair(1, 5.0, 10)));
        let request = Request { queue_timeout: Some(timeout), ..Request::default() };
        let before = world.starts.len();
        match world.submit_as(request).unwrap() {
            Some(id) => submitted.push((id, world.now)),
            None => submitted.extend(world.starts.get(before).map(|(at, id)| (*id, *at))),
        }
        world.run_for(ms(67));
    }
    let useful = world.starts.iter().filter(|(started, id)| {
        let since = submitted.iter().find(|(other, _)| other == id).unwrap().1;
        *started + SERVICE <= since + PATIENCE
    });
    useful.count() as f64 / world.starts.len() as f64
}

#[test]
fn starts_go_to_users_who_still_wait() {
    let shares = [ms(2000), secs(10)]
        .map(|timeout| (useful_starts(Order::NewestUnderOverload, timeout), useful_starts(Order::Arrival, timeout)));
    let [(newest, arrival), (newest_by_default, arrival_by_default)] = shares;
    assert!(newest > 0.95 && newest_by_default > 0.95, "{shares:?}");
    assert!(arrival < 0.5 && arrival_by_default < 0.3, "{shares:?}");
}

#[test]
fn a_burst_that_is_soon_over_keeps_its_order() {
    let mut world = world(Order::default(), 20.0);
    (0..20).for_each(|_| assert!(world.submit().is_ok()));
    world.run_for(secs(2));
    let started: Vec<_> = world.starts.iter().map(|(_, id)| *id).collect();
    assert!(started.len() == 20 && started.is_sorted(), "{started:?}");
}

#[test]
fn a_lasting_burst_is_served_newest_first_until_it_is_over() {
    let mut world = world(Order::default(), 4.0);
    let burst: Vec<_> = (0..20).filter_map(|_| world.submit().unwrap()).collect();
    world.run_for(secs(9));
    let started: Vec<_> = world.starts.iter().map(|(_, id)| *id).filter(|id| burst.contains(id)).collect();
    let turn = started.windows(2).position(|pair| pair[0] > pair[1]).unwrap_or(started.len());
    assert!(started[..=turn].is_sorted() && started[turn + 1..].is_sorted_by(|a, b| a > b), "{started:?}");
    assert!((2..8).contains(&turn), "after 1.1 s at 4/s: {started:?}");
    assert_eq!(world.state().queued, 0);

    world.starts.clear();
    (0..4).for_each(|_| assert!(world.submit().is_ok()));
    let _ = world.configure(news(fair(1, 4.0, 10)));
    world.run_for(ms(1000));
    assert!(world.starts.is_sorted_by_key(|(_, id)| *id) && world.starts.len() > 2, "{:?}", world.starts);
}

#[test]
fn an_app_may_insist_on_the_order_of_arrival() {
    let mut world = world(Order::Arrival, 4.0);
    (0..20).for_each(|_| assert!(world.submit().is_ok()));
    world.run_for(secs(9));
    assert!(world.starts.len() > 15 && world.starts.is_sorted_by_key(|(_, id)| *id));
}

#[test]
fn without_a_rate_the_order_is_that_of_arrival() {
    let mut world = World::configured(fixed(1, Level::Emergency), 1);
    (0..20).for_each(|_| assert!(world.submit().is_ok()));
    world.run_for(secs(5));
    world.starts.clear();
    let _ = world.configure(news(normal(2)));
    assert!(world.starts.len() > 15 && world.starts.is_sorted_by_key(|(_, id)| *id));
}

#[test]
fn one_class_may_be_overloaded_and_another_not() {
    let mut world = world(Order::default(), 2.0);
    (0..30).for_each(|_| assert!(world.submit_at(Priority::Low).is_ok()));
    world.run_for(secs(2));
    world.starts.clear();
    let high: Vec<_> = (0..2).map(|_| world.submit_at(Priority::High).unwrap().unwrap()).collect();
    let newer = world.submit_at(Priority::Low).unwrap().unwrap();
    let _ = world.configure(news(fair(1, 2.0, 10)));
    world.run_for(secs(2));
    let started: Vec<_> = world.starts.iter().map(|(_, id)| *id).take(3).collect();
    assert_eq!(started, [high[0], high[1], newer]);
}

#[test]
fn requests_that_are_passed_over_end_at_their_deadline() {
    let mut world = world(Order::default(), 2.0);
    let mut deadlines = Vec::new();
    for _ in 0..200 {
        if let Some(id) = world.submit().unwrap() {
            deadlines.push((id, world.now + secs(10)));
        }
        let _ = world.configure(poolgate_throttle::News::Current(at(1)));
        world.run_for(ms(150));
    }
    world.run_for(secs(11));
    assert_eq!(world.state().queued, 0);
    let timed_out = world.rejections.iter().filter(|(_, _, why)| why.reason == RejectReason::QueueTimeout);
    let late = timed_out.clone().filter(|(at, id, _)| deadlines.iter().any(|(other, by)| other == id && by != at));
    assert_eq!(late.count(), 0);
    assert!(timed_out.count() > 50);
}

#[test]
fn a_full_queue_sheds_a_late_request_for_a_new_one() {
    let settings = Settings { max_queue: 3, ..Settings::default() };
    let mut world = World::with_settings(settings, 1);
    let _ = world.configure(news(fair(1, 0.01, 10)));
    let old: Vec<_> = (0..3).map(|_| world.submit().unwrap().unwrap()).collect();
    assert_eq!(world.submit().unwrap_err().reason, RejectReason::QueueFull);
    world.run_for(secs(2));
    assert!(world.submit().unwrap().is_some());
    let left: Vec<_> = world.rejections.iter().map(|(_, id, why)| (*id, why.reason)).collect();
    assert_eq!(left, [(old[0], RejectReason::QueueFull)]);
}
