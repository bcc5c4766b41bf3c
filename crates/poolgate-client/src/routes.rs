//! [`poolgate_throttle::RouteLimits`] for JavaScript.

use std::time::Duration;

use poolgate_throttle::{Quota, RouteLimits, RouteSignal};
use wasm_bindgen::prelude::*;

use crate::time::{from_ms, or_never};

/// The limits of single routes. The shell numbers them.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Routes(RouteLimits<u32>);

#[wasm_bindgen]
impl Routes {
    /// `seed` is a random number, whole and below 2^53.
    #[wasm_bindgen(constructor)]
    pub fn new(seed: f64) -> Self {
        Self(RouteLimits::new(seed as u64))
    }

    /// When to ask again whether a request of this route may start; never: it may, and counts.
    pub fn admit(&mut self, route: u32, now: f64) -> f64 {
        or_never(self.0.admit(&route, from_ms(now)))
    }

    /// Takes in what a response said: its `Retry-After`, and how many `remaining` requests the tightest quota has until its
    /// reset.
    pub fn learn(
        &mut self,
        route: u32,
        retry_after_ms: Option<f64>,
        remaining: Option<u32>,
        reset_seconds: f64,
        now: f64,
    ) {
        // `as` saturates and maps NaN to 0.
        let reset = Duration::from_secs(reset_seconds as u64);
        let quota = remaining.map(|remaining| Quota { remaining, reset });
        self.0.learn(route, RouteSignal { retry_after: retry_after_ms.map(from_ms), quota }, from_ms(now));
    }
}
