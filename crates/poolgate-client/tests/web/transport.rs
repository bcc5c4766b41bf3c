//! `TransportPlan`: what to do, and when.

use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;

use crate::javascript::{ODD, TransportPlan};

const NOTHING: f64 = 0.0;
const OPEN: f64 = 1.0;
const CLOSE: f64 = 2.0;
const ASK: f64 = 3.0;
/// Modes.
const AUTO: u8 = 0;
const SSE: u8 = 1;
const POLL: u8 = 2;

fn plan(mode: u8, streams: bool) -> TransportPlan {
    JsValue::from(poolgate_client::TransportPlan::new(mode, streams, 30_000.0)).unchecked_into()
}

fn leading(mode: u8, streams: bool) -> TransportPlan {
    let plan = plan(mode, streams);
    assert_eq!((plan.next(0.0, 0.5), plan.next_deadline()), (NOTHING, f64::INFINITY), "it has nothing to do yet");
    plan.lead(0.0);
    plan
}

#[wasm_bindgen_test]
fn a_mode_is_a_code() {
    for (mode, streams, first) in
        [(AUTO, true, OPEN), (SSE, true, OPEN), (POLL, true, ASK), (AUTO, false, ASK), (9, true, ASK)]
    {
        let plan = leading(mode, streams);
        assert_eq!((plan.next(0.0, 0.5), plan.next(0.0, 0.5)), (first, NOTHING), "{mode}");
    }
    for (mode, action) in [(AUTO, CLOSE), (SSE, NOTHING)] {
        let plan = leading(mode, true);
        plan.next(0.0, 0.5);
        plan.heard(false, 0.0);
        plan.hidden(0.0);
        assert_eq!(plan.next(11_000.0, 0.5), action, "a hidden page gives its stream back where it may ask");
    }
}

#[wasm_bindgen_test]
fn how_the_client_learns_is_a_code() {
    let plan = leading(AUTO, true);
    assert_eq!(plan.kind(), 0.0, "not yet");
    assert_eq!(plan.next(0.0, 0.5), OPEN);
    plan.heard(true, 10.0);
    assert_eq!(plan.kind(), 1.0, "by the stream");
    assert_eq!(plan.next_deadline(), 15_010.0, "when it counts as dead");
    plan.stream_lost(20.0, 0.5);
    assert_eq!(plan.kind(), 2.0, "by asking");
    plan.follow();
    plan.heard_of(30.0);
    assert_eq!(plan.kind(), 3.0, "by another client");
    plan.end();
    assert_eq!((plan.kind(), plan.next_deadline()), (0.0, f64::INFINITY), "no more");
}

#[wasm_bindgen_test]
fn times_are_milliseconds() {
    let plan = leading(POLL, true);
    assert_eq!(plan.next(0.0, 0.5), ASK);
    assert_eq!(plan.next_deadline(), f64::INFINITY, "there is no answer yet");
    plan.polled(true, None, 100.0, 0.5);
    assert_eq!(plan.next_deadline(), 30_100.0);
    assert_eq!((plan.next(30_099.0, 0.5), plan.next(30_100.0, 0.5)), (NOTHING, ASK));
    plan.polled(true, Some(5.0), 30_200.0, 0.5);
    assert_eq!(plan.next_deadline(), 35_200.0, "the server's word, in seconds");
    plan.fetch_soon(30_300.0, 0.5);
    assert_eq!(plan.next_deadline(), 31_300.0);
    plan.next(31_300.0, 0.5);
    plan.polled(false, None, 31_300.0, 0.0);
    assert_eq!(plan.next_deadline(), 31_800.0);

    let plan = leading(SSE, true);
    plan.next(0.0, 0.5);
    plan.heard(false, 0.0);
    plan.return_within(60_000.0);
    plan.stream_ended(0.0, 0.5);
    assert_eq!(plan.next_deadline(), 30_500.0);
    plan.shown(1000.0);
    assert_eq!(plan.next(1000.0, 0.5), OPEN);
}

#[wasm_bindgen_test]
fn no_number_is_odd_enough_to_end_it() {
    for odd in ODD {
        for mode in [AUTO, SSE, POLL] {
            let plan: TransportPlan =
                JsValue::from(poolgate_client::TransportPlan::new(mode, true, odd)).unchecked_into();
            plan.lead(odd);
            for chance in [0.0, 0.5, 1.0] {
                for _ in 0..5 {
                    plan.next(odd, chance);
                }
                plan.heard(true, odd);
                plan.return_within(odd);
                plan.stream_ended(odd, chance);
                plan.stream_lost(odd, chance);
                plan.polled(true, Some(odd), odd, chance);
                plan.polled(false, Some(odd), odd, chance);
                plan.fetch_soon(odd, chance);
                plan.hidden(odd);
                plan.shown(odd);
                plan.heard_of(odd);
                assert!(plan.next_deadline() >= 0.0, "{odd}");
            }
        }
    }
}
