//! `Throttle`: requests, news, what is in force.

use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;

use crate::javascript::{ODD, Throttle};

const EPOCH: f64 = 1_763_880_000_000.0;
const NORMAL: f64 = 1.0;
/// What `learn_config` and its like say.
const APPLIED: f64 = 0.0;
const MISSED: f64 = 1.0;
const UNCHANGED: f64 = 2.0;
const INVALID: f64 = 3.0;
/// News without content.
const NO_CONTACT: f64 = 0.0;
const NOT_FOUND: f64 = 1.0;
const HEADER_MISSING: f64 = 2.0;
const CLOSED: f64 = 3.0;

fn throttle(max_queue: u32, queue_timeout_ms: f64) -> Throttle {
    JsValue::from(poolgate_client::Throttle::new(max_queue, queue_timeout_ms, 7.0)).unchecked_into()
}

/// A config document, as far as the tests differ.
struct Config {
    version: f64,
    level: f64,
    health: f64,
    open: bool,
    max_concurrent: f64,
    rate: f64,
    retry_after_seconds: f64,
}

const MODERATE: Config = Config {
    version: 1.0,
    level: 1.0,
    health: 1.0,
    open: false,
    max_concurrent: 1.0,
    rate: 1000.0,
    retry_after_seconds: f64::NAN,
};

impl Config {
    /// Its time to live is 30 seconds.
    fn learn(&self, throttle: &Throttle, now: f64) -> f64 {
        let Self { version, level, health, open, max_concurrent, rate, retry_after_seconds } = *self;
        let (per_minute, delay, poll_after, ttl) = (100.0, 100.0, 5.0, 30.0);
        throttle.learn_config(
            EPOCH,
            version,
            level,
            health,
            true,
            open,
            open,
            max_concurrent,
            per_minute,
            delay,
            rate,
            poll_after,
            ttl,
            retry_after_seconds,
            f64::NAN,
            now,
        )
    }
}

/// Everything that is due, with what it is about.
fn drain(throttle: &Throttle, now: f64) -> Vec<(f64, f64)> {
    std::iter::from_fn(|| Some(throttle.poll(now)).filter(|event| *event > 0.0))
        .map(|event| (event, throttle.subject()))
        .collect()
}

/// A throttle that lets one request after the other start.
fn one_at_a_time(max_queue: u32, queue_timeout_ms: f64) -> Throttle {
    let throttle = throttle(max_queue, queue_timeout_ms);
    assert_eq!(MODERATE.learn(&throttle, 0.0), APPLIED);
    assert_eq!(drain(&throttle, 0.0), [(3.0, 1.0)], "the level");
    throttle
}

#[wasm_bindgen_test]
fn an_id_says_what_became_of_a_request() {
    let throttle = one_at_a_time(1, 100.0);
    let first = throttle.submit(NORMAL, false, f64::NAN, 1000.0);
    assert!(first > 0.0, "it starts");
    let second = throttle.submit(NORMAL, false, f64::NAN, 1000.0);
    assert!(second < 0.0 && second != -first, "it waits");
    assert_eq!(throttle.submit(NORMAL, false, f64::NAN, 1000.0), 0.0, "it is rejected");
    assert_eq!(throttle.reason(), 0.0, "the queue is full");
    assert!(throttle.submit(NORMAL, true, f64::NAN, 1000.0) > 0.0, "bypass");

    assert_eq!(throttle.state(1050.0)[6], 1.0, "bypass takes no slot");
    throttle.complete(first, 0.0, 1050.0);
    assert_eq!(throttle.state(1050.0)[6], 0.0);
}

#[wasm_bindgen_test]
fn events_say_who_starts_and_who_is_rejected() {
    let throttle = one_at_a_time(10, 100.0);
    let first = throttle.submit(NORMAL, false, f64::NAN, 1000.0);
    let waiting = [f64::NAN, f64::NAN, 20.0].map(|timeout| -throttle.submit(NORMAL, false, timeout, 1000.0));
    assert_eq!(throttle.next_wakeup(), 1020.0);
    assert_eq!((throttle.poll(1020.0), throttle.subject(), throttle.reason()), (2.0, waiting[2], 1.0), "its own limit");
    throttle.complete(first, 0.0, 1030.0);
    assert_eq!((throttle.poll(1030.0), throttle.subject()), (1.0, waiting[0]));
    assert_eq!(throttle.poll(1030.0), 0.0);
    assert_eq!((throttle.poll(1100.0), throttle.subject(), throttle.reason()), (2.0, waiting[1], 1.0));
    assert_eq!(throttle.poll(1100.0), 0.0);
}

#[wasm_bindgen_test]
fn an_aborted_request_is_gone_and_closing_rejects_the_rest() {
    let throttle = one_at_a_time(10, 10_000.0);
    throttle.submit(NORMAL, false, f64::NAN, 1000.0);
    let [gone, left] = [(); 2].map(|()| -throttle.submit(NORMAL, false, f64::NAN, 1000.0));
    throttle.abort(gone, 1001.0);
    throttle.learn(CLOSED, 1002.0);
    let events = drain(&throttle, 1002.0);
    assert_eq!(events.iter().filter(|(event, _)| *event < 3.0).collect::<Vec<_>>(), [&(2.0, left)]);
    assert_eq!((throttle.reason(), throttle.retry_after()), (3.0, f64::INFINITY), "the time is unknown");
}

#[wasm_bindgen_test]
fn priorities_are_four_codes() {
    let throttle = one_at_a_time(10, 10_000.0);
    let mut flying = throttle.submit(NORMAL, false, f64::NAN, 1000.0);
    let ids = [0.0, 1.0, 2.0, 3.0].map(|priority| -throttle.submit(priority, false, f64::NAN, 1000.0));
    for id in ids.into_iter().rev() {
        throttle.complete(flying, 0.0, 1100.0);
        assert_eq!((throttle.poll(1100.0), throttle.subject()), (1.0, id));
        flying = id;
    }
}

#[wasm_bindgen_test]
fn the_state_is_twelve_numbers_in_their_order() {
    let throttle = throttle(10, 10_000.0);
    let never = f64::INFINITY;
    assert_eq!(throttle.state(0.0)[..8], [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
    assert_eq!(throttle.state(0.0)[8..], [0.0, 0.0, never, never]);
    let open = Config { level: 2.0, health: 2.0, open: true, retry_after_seconds: 7.0, ..MODERATE };
    assert_eq!(open.learn(&throttle, 0.0), APPLIED);
    let state = throttle.state(0.0);
    assert_eq!(state[..6], [2.0, 2.0, 1.0, 1.0, 0.0, 0.0], "level, health, breaker, enforced, fresh, limited");
    assert_eq!(throttle.submit(NORMAL, false, f64::NAN, 0.0), 0.0);
    assert_eq!(throttle.reason(), 2.0, "the breaker is open");
    assert!((7000.0..=14_000.0).contains(&throttle.retry_after()), "{}", throttle.retry_after());
    let mut events = drain(&throttle, 0.0);
    events.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert_eq!(events, [(3.0, 2.0), (4.0, 1.0)], "the level and the breaker");

    let closed = Config { version: 2.0, max_concurrent: 3.0, rate: 2.5, ..MODERATE };
    assert_eq!(closed.learn(&throttle, 100.0), APPLIED);
    assert!(throttle.submit(NORMAL, false, f64::NAN, 5000.0) > 0.0);
    let state = throttle.state(5000.0);
    assert_eq!(state[..3], [1.0, 1.0, 0.0]);
    assert_eq!((state[6], state[10], state[11]), (1.0, 2.5, 3.0), "in flight, rate, concurrency");
    assert_eq!(throttle.state(29_000.0)[4], 0.0);
    assert_eq!(throttle.state(31_000.0)[4], 1.0, "stale");
    assert!(drain(&throttle, 31_000.0).contains(&(5.0, 1.0)));
}

#[wasm_bindgen_test]
fn each_piece_of_news_says_what_became_of_it() {
    let throttle = throttle(10, 10_000.0);
    let at = |version| Config { version, max_concurrent: 3.0, rate: 2.0, ..MODERATE };
    assert_eq!(at(5.0).learn(&throttle, 0.0), APPLIED);
    assert_eq!(at(5.0).learn(&throttle, 0.0), UNCHANGED);
    assert_eq!(at(4.0).learn(&throttle, 0.0), UNCHANGED, "older");
    for invalid in [0.0, -1.0] {
        assert_eq!(Config { max_concurrent: invalid, ..at(6.0) }.learn(&throttle, 0.0), INVALID, "{invalid}");
        assert_eq!(Config { rate: invalid, ..at(6.0) }.learn(&throttle, 0.0), INVALID, "{invalid}");
    }
    assert_eq!(throttle.learn_current(EPOCH, 5.0, 1.0), UNCHANGED);
    assert_eq!(throttle.learn_current(EPOCH, 6.0, 1.0), MISSED);
    assert_eq!(throttle.learn_header(EPOCH, 7.0, 3.0, 20.0, 4.0, true, 1.0), APPLIED);
    let state = throttle.state(1.0);
    assert_eq!((state[0], state[2], state[11]), (3.0, 1.0, 4.0), "level, breaker, concurrency");
    assert_eq!(throttle.learn_header(EPOCH, 8.0, 1.0, 20.0, 4.0, false, 1.0), APPLIED);
    assert_eq!(throttle.state(1.0)[10], 50.0, "requests a second");
    assert_eq!(throttle.learn_header(EPOCH, 9.0, 1.0, f64::NAN, 0.0, false, 1.0), INVALID);
    assert_eq!(throttle.learn_header(EPOCH, 9.0, 0.0, f64::NAN, 4.0, false, 1.0), APPLIED);
    assert_eq!(throttle.state(1.0)[10], f64::INFINITY, "any number");
    assert_eq!(throttle.learn(NO_CONTACT, 2.0), UNCHANGED);
    assert_eq!(throttle.learn(NOT_FOUND, 3.0), APPLIED);
    assert_eq!(throttle.state(3.0)[5], 1.0, "everything passes");
    assert_eq!(throttle.learn(HEADER_MISSING, 3.0), UNCHANGED);
}

fn saved(throttle: &Throttle, now: f64) -> [f64; 5] {
    assert!(throttle.savings(now));
    throttle.reading()
}

#[wasm_bindgen_test]
fn what_is_saved_is_what_the_next_one_goes_on_with() {
    let [first, second] = [(); 2].map(|()| throttle(10, 10_000.0));
    assert!(!first.savings(0.0), "a newcomer has nothing to save");
    let config = Config { rate: 0.5, ..MODERATE };
    config.learn(&first, 0.0);
    first.submit(NORMAL, false, f64::NAN, 1000.0);
    let savings = saved(&first, 1000.0);
    let [tokens, rate, cost, paused, epoch] = savings;
    assert_eq!((rate, paused, epoch), (0.5, 0.0, EPOCH));
    assert!(tokens < 1.0 && cost > 0.0, "{savings:?}");
    second.restore(tokens, rate, cost, paused, epoch, 0.0, 50_000.0);
    config.learn(&second, 50_000.0);
    assert_eq!(saved(&second, 50_000.0), savings);

    let [first, second] = [(); 2].map(|()| throttle(10, 10_000.0));
    first.learn_header(EPOCH, 1.0, 0.0, f64::NAN, 10.0, false, 0.0);
    first.turned_away(5000.0, EPOCH, 1000.0);
    let savings = saved(&first, 1000.0);
    let [tokens, rate, cost, paused, epoch] = savings;
    assert!((5.0..=7.5).contains(&paused), "{savings:?}");
    second.restore(tokens, rate, cost, paused, epoch, 1000.0, 50_000.0);
    second.learn_header(EPOCH, 1.0, 0.0, f64::NAN, 10.0, false, 50_000.0);
    assert!(second.submit(NORMAL, false, f64::NAN, 50_000.0) < 0.0, "it waits for the end of the pause");
    let left = saved(&second, 50_000.0)[3];
    assert!((left - (paused - 1.0)).abs() < 0.001, "a second has passed since: {left} of {paused}");
}

#[wasm_bindgen_test]
fn a_retry_has_a_wait_or_is_never() {
    let throttle = throttle(10, 10_000.0);
    let id = throttle.submit(NORMAL, false, f64::NAN, 0.0);
    throttle.complete(id, 0.0, 1.0);
    assert_eq!(throttle.retry(0.0, 3_600_000.0, 1.0), f64::INFINITY, "that is too long");
    let wait = throttle.retry(0.0, f64::NAN, 1.0);
    assert!((100.0..=300.0).contains(&wait) && wait == throttle.subject(), "{wait}");
    assert!((0..20).any(|_| throttle.retry(wait, f64::NAN, 1.0) == f64::INFINITY), "there is a ration");
}

#[wasm_bindgen_test]
fn a_share_is_a_number_of_slots() {
    let throttle = throttle(10, 10_000.0);
    assert_eq!(Config { max_concurrent: 4.0, ..MODERATE }.learn(&throttle, 0.0), APPLIED);
    let slots = |held: f64, of: f64, now: f64| {
        throttle.set_share(held, of, 0.0, now);
        drain(&throttle, now);
        throttle.state(now)[11]
    };
    assert_eq!(slots(1.0, 4.0, 1000.0), 4.0, "what all together may have");
    assert!(throttle.submit(NORMAL, false, f64::NAN, 1100.0) > 0.0);
    assert!(throttle.submit(NORMAL, false, f64::NAN, 1200.0) < 0.0, "one slot of four");
    slots(2.0, 0.0, 1300.0);
    assert_eq!(throttle.state(1300.0)[6], 2.0, "all but two");
}

#[wasm_bindgen_test]
fn no_number_is_odd_enough_to_end_it() {
    for odd in ODD {
        let throttle = throttle(10, odd);
        for now in [0.0, 1000.0, odd] {
            one(&throttle, odd, now);
        }
        assert!(throttle.state(2000.0)[6] >= 0.0, "{odd}");
        assert!(throttle.detail(odd) >= 0.0, "{odd}");
        throttle.learn(NOT_FOUND, 3000.0);
        drain(&throttle, 3000.0);
    }

    fn one(throttle: &Throttle, odd: f64, now: f64) {
        throttle.learn_config(odd, odd, odd, odd, true, false, false, odd, odd, odd, odd, odd, odd, odd, odd, now);
        Config { rate: odd, ..MODERATE }.learn(throttle, now);
        Config { version: 2.0, retry_after_seconds: odd, ..MODERATE }.learn(throttle, now);
        throttle.learn_header(odd, odd, odd, odd, odd, false, now);
        throttle.learn_header(EPOCH, odd, 1.0, 20.0, 4.0, false, now);
        throttle.learn_current(odd, odd, now);
        throttle.learn(NO_CONTACT, now);
        throttle.learn(HEADER_MISSING, now);
        let ids = [(); 4].map(|()| throttle.submit(odd, false, odd, now));
        throttle.restore(odd, odd, odd, odd, odd, odd, now);
        throttle.set_share(odd, odd, odd, now);
        throttle.turned_away(odd, odd, now);
        throttle.retry(odd, odd, now);
        drain(throttle, now);
        throttle.next_wakeup();
        throttle.savings(now);
        throttle.state(now);
        for id in ids {
            throttle.abort(id.abs(), now);
            throttle.complete(id.abs(), odd, now);
        }
        throttle.abort(odd, now);
        throttle.complete(odd, odd, now);
    }
}
