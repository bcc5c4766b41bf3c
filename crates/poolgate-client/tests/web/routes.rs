//! `Throttle`: the limits of single routes.

use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;

use crate::javascript::{ODD, Throttle};

fn routes(seed: f64) -> Throttle {
    JsValue::from(poolgate_client::Throttle::new(10, 1000.0, seed)).unchecked_into()
}

#[wasm_bindgen_test]
fn a_route_is_paused_until_a_moment_after_what_it_was_told() {
    let routes = routes(7.0);
    assert_eq!(routes.admit(1.0, 1000.0), f64::INFINITY, "nothing is known");
    routes.learn_route(1.0, 2000.0, f64::NAN, 0.0, 1000.0);
    let again = routes.admit(1.0, 1000.0);
    assert!((3000.0..=6000.0).contains(&again), "{again}");
    assert_eq!(routes.admit(2.0, 1000.0), f64::INFINITY, "another route");
    assert_eq!(routes.admit(1.0, 6001.0), f64::INFINITY);
}

#[wasm_bindgen_test]
fn a_quota_is_used_up() {
    let routes = routes(7.0);
    routes.learn_route(1.0, f64::NAN, 2.0, 10.0, 1000.0);
    assert_eq!([(); 2].map(|()| routes.admit(1.0, 1000.0)), [f64::INFINITY; 2]);
    assert!((11_000.0..=20_000.0).contains(&routes.admit(1.0, 1000.0)));
    routes.learn_route(2.0, f64::NAN, 0.0, 10.0, 1000.0);
    assert!(routes.admit(2.0, 1000.0) >= 11_000.0);
    routes.learn_route(3.0, f64::NAN, f64::NAN, 0.0, 1000.0);
    assert_eq!(routes.admit(3.0, 1000.0), f64::INFINITY, "nothing was said");
}

#[wasm_bindgen_test]
fn no_number_is_odd_enough_to_end_it() {
    for odd in ODD {
        let routes = routes(odd);
        for now in [0.0, odd, 1000.0] {
            routes.learn_route(odd, odd, odd, odd, now);
            routes.learn_route(odd, f64::NAN, odd, odd, now);
            routes.learn_route(1.0, f64::NAN, 3.0, odd, now);
            assert!(routes.admit(odd, now) >= 0.0, "{odd}");
            assert!(routes.admit(1.0, now) >= 0.0, "{odd}");
        }
    }
}
