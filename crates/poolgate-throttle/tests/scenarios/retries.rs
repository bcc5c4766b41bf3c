//! Retries of failed requests.

use poolgate_throttle::{Backoff, News, Outcome};
use poolgate_types::Level;

use crate::{
    configs::{fair, fixed, half_open, news, normal, open},
    world::{World, ms, secs},
};

fn asks(world: &mut World) -> bool {
    world.throttle.retry(&mut Backoff::default(), None, world.now).is_some()
}

#[test]
fn a_thousand_failures_get_a_hundred_retries() {
    let mut world = World::new(1);
    world.service.0 = ms(1);
    let (mut made, mut retried) = (0, 0);
    while made < 1000 {
        made += 1;
        assert_eq!(world.submit(), Ok(None));
        world.run_for(ms(10));
        let mut backoff = Backoff::default();
        while let Some(wait) = world.throttle.retry(&mut backoff, None, world.now) {
            retried += 1;
            world.run_for(wait);
            assert_eq!(world.submit(), Ok(None));
            assert!(retried <= (made / 10).max(1), "{retried} of {made}");
        }
    }
    assert_eq!(retried, 100);
}

#[test]
fn no_retry_above_moderate() {
    for (level, granted) in
        [(Level::Normal, true), (Level::Moderate, true), (Level::Aggressive, false), (Level::Emergency, false)]
    {
        assert_eq!(asks(&mut World::configured(fixed(1, level), 1)), granted, "{level:?}");
    }
}

#[test]
fn no_retry_while_the_breaker_is_not_closed() {
    assert!(!asks(&mut World::configured(open(1), 1)));
    assert!(!asks(&mut World::configured(half_open(1, 1.0), 1)));
    let mut world = World::configured(normal(1), 1);
    world.service = (ms(300), Outcome::Failure);
    world.send_until(ms(1500));
    assert!(!asks(&mut world), "by local evidence");
}

#[test]
fn a_refused_retry_costs_nothing() {
    let mut world = World::configured(open(1), 1);
    (0..100).for_each(|_| assert!(!asks(&mut world)));
    let _ = world.configure(news(normal(2)));
    assert_eq!(world.throttle.retry(&mut Backoff::default(), Some(secs(600)), world.now), None);
    assert!(asks(&mut world) && !asks(&mut world));
}

#[test]
fn a_retry_queues_like_any_request() {
    let mut world = World::configured(fair(1, 0.01, 10), 1);
    (0..100).for_each(|_| assert!(world.submit().is_ok()));
    let started = world.starts.len();
    assert!(asks(&mut world));
    assert!(world.submit().unwrap().is_some());
    assert_eq!(world.starts.len(), started);
}

#[test]
fn a_closed_client_grants_no_retry() {
    let mut world = World::configured(normal(1), 1);
    let _ = world.configure(News::Closed);
    assert!(!asks(&mut world));
}
