//! The exported classes as JavaScript sees them. All numbers are `f64` here: what JavaScript may give is not only what the
//! classes take.

use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    pub(crate) type Throttle;
    #[wasm_bindgen(method)]
    pub(crate) fn submit(this: &Throttle, priority: f64, bypass: bool, queue_timeout_ms: f64, now: f64) -> f64;
    #[wasm_bindgen(method)]
    pub(crate) fn complete(this: &Throttle, id: f64, outcome: f64, now: f64);
    #[wasm_bindgen(method)]
    pub(crate) fn abort(this: &Throttle, id: f64, now: f64);
    #[wasm_bindgen(method)]
    pub(crate) fn poll(this: &Throttle, now: f64) -> f64;
    #[wasm_bindgen(method)]
    pub(crate) fn next_wakeup(this: &Throttle) -> f64;
    #[wasm_bindgen(method)]
    pub(crate) fn learn_config(
        this: &Throttle,
        epoch: f64,
        version: f64,
        level: f64,
        health: f64,
        enforced: bool,
        open: bool,
        emergency: bool,
        max_concurrent: f64,
        max_per_minute: f64,
        delay_ms: f64,
        fair_rate_per_second: f64,
        poll_after_seconds: f64,
        ttl_seconds: f64,
        retry_after_seconds: f64,
        probe_fraction: f64,
        now: f64,
    ) -> f64;
    #[wasm_bindgen(method)]
    pub(crate) fn learn_header(
        this: &Throttle,
        epoch: f64,
        version: f64,
        level: f64,
        interval_ms: f64,
        concurrency: f64,
        open: bool,
        now: f64,
    ) -> f64;
    #[wasm_bindgen(method)]
    pub(crate) fn learn_current(this: &Throttle, epoch: f64, version: f64, now: f64) -> f64;
    #[wasm_bindgen(method)]
    pub(crate) fn learn(this: &Throttle, news: f64, now: f64) -> f64;
    #[wasm_bindgen(method)]
    pub(crate) fn turned_away(this: &Throttle, retry_after_ms: f64, epoch: f64, now: f64);
    #[wasm_bindgen(method)]
    pub(crate) fn retry(this: &Throttle, last_ms: f64, retry_after_ms: f64, now: f64) -> f64;
    #[wasm_bindgen(method)]
    pub(crate) fn set_share(this: &Throttle, held: f64, of: f64, tokens: f64, now: f64) -> f64;
    #[wasm_bindgen(method)]
    pub(crate) fn savings(this: &Throttle, now: f64) -> bool;
    #[wasm_bindgen(method)]
    pub(crate) fn restore(
        this: &Throttle,
        tokens: f64,
        rate_per_second: f64,
        next_cost: f64,
        paused_for_seconds: f64,
        epoch: f64,
        age_ms: f64,
        now: f64,
    );
    #[wasm_bindgen(method)]
    pub(crate) fn read(this: &Throttle, now: f64);
    #[wasm_bindgen(method)]
    pub(crate) fn admit(this: &Throttle, route: f64, now: f64) -> f64;
    #[wasm_bindgen(method)]
    pub(crate) fn learn_route(
        this: &Throttle,
        route: f64,
        retry_after_ms: f64,
        remaining: f64,
        reset_seconds: f64,
        now: f64,
    );
    #[wasm_bindgen(method)]
    pub(crate) fn detail(this: &Throttle, place: f64) -> f64;
}

impl Throttle {
    /// The request of the last event, or what it has changed to; or what a retry brings to the next one.
    pub(crate) fn subject(&self) -> f64 {
        self.detail(0.0)
    }

    /// Why the last one was rejected.
    pub(crate) fn reason(&self) -> f64 {
        self.detail(1.0)
    }

    /// After how long another attempt may succeed.
    pub(crate) fn retry_after(&self) -> f64 {
        self.detail(2.0)
    }

    /// What was read last.
    pub(crate) fn reading<const COUNT: usize>(&self) -> [f64; COUNT] {
        std::array::from_fn(|index| self.detail(3.0 + index as f64))
    }

    /// What is in force.
    pub(crate) fn state(&self, now: f64) -> [f64; 12] {
        self.read(now);
        self.reading()
    }
}

/// What no clock, app or server should say, and each of them might.
pub(crate) const ODD: [f64; 9] =
    [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, -0.0, 0.5, 4_294_967_296.0, 1e300, f64::MIN_POSITIVE];
