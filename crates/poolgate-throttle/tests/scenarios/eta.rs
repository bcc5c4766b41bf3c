//! Predictions of the wait.

use poolgate_throttle::{Eta, Order, Outcome, Priority, Request, Settings};
use poolgate_types::Level;

use crate::{
    configs::{fair, fixed, news, normal, open},
    world::{World, ms, secs},
};

const NOW: Option<Eta> = Some(Eta { earliest: ms(0), latest: ms(0) });

/// In order of arrival and with a long timeout, so that predictions come true.
fn patient(seed: u64) -> World {
    let settings = Settings { order: Order::Arrival, queue_timeout: secs(600), ..Settings::default() };
    World::with_settings(settings, seed)
}

#[test]
fn without_limits_the_wait_is_zero() {
    assert_eq!(World::new(1).state().eta, NOW);
    let world = World::configured(normal(1), 1);
    assert_eq!(world.state().eta, NOW);
}

/// How often the prediction for a new request holds, and its width in seconds, with `ahead` requests queued before it.
fn forecasts(ahead: usize, config: impl Fn() -> poolgate_types::ThrottlingConfig) -> (usize, f64) {
    let (mut kept, mut width) = (0, 0.0);
    for seed in 0..200 {
        let mut world = patient(seed);
        let _ = world.configure(news(config()));
        while world.state().queued < ahead {
            assert!(world.submit().is_ok());
        }
        let (eta, since) = (world.state().eta.unwrap(), world.now);
        let Some(id) = world.submit().unwrap() else {
            kept += usize::from(eta == NOW.unwrap());
            continue;
        };
        while world.state().queued > 0 {
            let _ = world.configure(news(config()));
            world.run_for(ms(500));
        }
        let waited = world.starts.iter().find(|(_, started)| *started == id).unwrap().0 - since;
        // Timers count in milliseconds.
        kept += usize::from(eta.earliest <= waited + ms(1) && waited <= eta.latest + ms(1));
        width += (eta.latest - eta.earliest).as_secs_f64() / 200.0;
    }
    (kept, width)
}

#[test]
fn under_a_fair_rate_the_range_is_kept_and_narrow() {
    for (rate, ahead) in [(2.0, 0), (2.0, 1), (2.0, 10), (0.5, 10), (20.0, 60)] {
        let (kept, width) = forecasts(ahead, || fair(1, rate, 10));
        assert!(kept >= 196, "{kept} of 200 at {rate}/s behind {ahead}");
        let mean = (ahead as f64 + 1.0) / rate;
        assert!(width < 0.5 * mean + 2.0 / rate, "{width} s wide at {rate}/s behind {ahead}");
    }
}

#[test]
fn under_the_six_fields_the_range_is_kept() {
    let (kept, _) = forecasts(10, || fixed(1, Level::Moderate));
    assert!(kept >= 190, "{kept} of 200");
}

#[test]
fn requests_of_higher_priority_are_counted() {
    let mut world = patient(1);
    let _ = world.configure(news(fair(1, 1.0, 10)));
    (0..5).for_each(|_| assert!(world.submit_at(Priority::Low).is_ok()));
    let before = world.state().eta.unwrap();
    (0..5).for_each(|_| assert!(world.submit_at(Priority::High).is_ok()));
    let after = world.state().eta.unwrap();
    assert!(before.latest < secs(4), "at most one of low priority starts first: {before:?}");
    assert!(after.latest > before.latest + secs(3), "{after:?}");
}

#[test]
fn a_pause_is_predicted() {
    let mut world = World::configured(normal(1), 1);
    world.service = (ms(10), Outcome::Rejected { retry_after: Some(secs(4)) });
    assert_eq!(world.submit(), Ok(None));
    world.run_for(ms(10));
    let Eta { earliest, latest } = world.state().eta.unwrap();
    assert_eq!(earliest, latest);
    assert!(earliest >= secs(4) && earliest <= secs(6), "{earliest:?}");
}

#[test]
fn an_unpredictable_wait_is_none() {
    let mut full = World::configured(fair(1, 1000.0, 1), 1);
    full.service.0 = secs(1000);
    full.run_for(ms(10));
    assert_eq!(full.submit(), Ok(None));
    assert!(full.submit().unwrap().is_some());
    assert_eq!(full.state().eta, None, "the end of a request in flight is unknown");

    assert_eq!(World::configured(open(1), 1).state().eta, None);

    let mut overloaded = World::configured(fair(1, 1.0, 10), 1);
    (0..9).for_each(|_| assert!(overloaded.submit().is_ok()));
    assert!(overloaded.state().eta.is_some());
    overloaded.run_for(secs(2));
    assert_eq!(overloaded.state().eta, None, "newer requests start first");

    let mut crowded = World::with_settings(Settings { max_queue: 2, ..Settings::default() }, 1);
    let _ = crowded.configure(news(fair(1, 0.01, 10)));
    (0..2).for_each(|_| assert!(crowded.submit_as(Request::default()).is_ok()));
    assert_eq!(crowded.state().eta, None, "it would be rejected");
}
