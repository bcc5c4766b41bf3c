//! The browser: clock, chance, storage, and its real `fetch`.

use std::{cell::RefCell, time::Duration};

use js_sys::{Array, Date, Function, JSON, Promise, Reflect};
use poolgate_front::Calendar;
use wasm_bindgen::prelude::*;
use web_sys::{Request, RequestInit, Storage};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;

    #[wasm_bindgen(js_namespace = ["Math"], js_name = random)]
    pub(crate) fn chance() -> f64;

    // The global function, as it is at the moment of the call: a later patch of it (a tracer, a test) is used too.
    #[wasm_bindgen(catch, js_name = fetch)]
    fn global_fetch(request: &Request, init: &RequestInit) -> Result<Promise, JsValue>;
}

thread_local! {
    /// The page's `fetch` from before the client took its place.
    static REPLACED: RefCell<Option<Function>> = const { RefCell::new(None) };
}

/// The time since the page began.
pub(crate) fn now() -> Duration {
    of_milliseconds(performance_now())
}

/// The browser's clock and its reader of dates.
#[derive(Debug)]
pub(crate) struct Today;

impl Calendar for Today {
    fn today(&self) -> Duration {
        of_milliseconds(Date::now())
    }

    fn read(&self, date: &str) -> Option<Duration> {
        let milliseconds = Date::parse(date);
        // NaN: it is none.
        (milliseconds >= 0.0).then(|| of_milliseconds(milliseconds))
    }
}

/// Two clients must not draw the same jitter.
pub(crate) fn seed() -> u64 {
    // 52 random bits.
    (chance() * (1_u64 << 52) as f64) as u64
}

/// Negative numbers and NaN count as zero.
pub(crate) fn of_milliseconds(milliseconds: f64) -> Duration {
    // `as` saturates and maps NaN to 0.
    Duration::from_micros((milliseconds * 1000.0) as u64)
}

/// Rounded up, because a timer that fires a moment early finds nothing to do; at most an hour, because browsers count 31
/// bits. Its owner looks at the clock and waits again.
pub(crate) fn timer_milliseconds(wait: Duration) -> u32 {
    const LONGEST: Duration = Duration::from_secs(3600);
    (wait.min(LONGEST).as_micros() as u32).div_ceil(1000)
}

/// A list of this many numbers; `None`: nothing is stored, or another script's value.
pub(crate) fn stored<const N: usize>(key: &str) -> Option<[f64; N]> {
    let text = storage()?.get_item(key).ok()??;
    let list: Array = JSON::parse(&text).ok()?.dyn_into().ok()?;
    let mut numbers = [f64::NAN; N];
    for (index, number) in numbers.iter_mut().enumerate() {
        *number = list.get(index as u32).as_f64()?;
    }
    Some(numbers)
}

/// Stores a list, or removes what is stored. Storage may be full or forbidden: then the next client begins as a new one.
pub(crate) fn store<const N: usize>(key: &str, numbers: Option<[f64; N]>) {
    let Some(storage) = storage() else { return };
    let text =
        numbers.and_then(|numbers| JSON::stringify(&numbers.into_iter().map(JsValue::from).collect::<Array>()).ok());
    let _ = match text {
        Some(text) => storage.set_item(key, &String::from(text)),
        None => storage.remove_item(key),
    };
}

/// Workers have none, and a browser may forbid it.
fn storage() -> Option<Storage> {
    global("localStorage").filter(JsValue::is_object).map(JsValue::unchecked_into)
}

/// `None`: there is no page with an origin, as in a sandboxed frame.
pub(crate) fn page_origin() -> Option<String> {
    Reflect::get(&global("location")?, &"origin".into()).ok()?.as_string()
}

/// A member of the global object; some of them throw.
pub(crate) fn global(name: &str) -> Option<JsValue> {
    Reflect::get(&js_sys::global(), &name.into()).ok().filter(|value| !value.is_undefined())
}

/// Sends a request past the throttle.
pub(crate) fn fetch(request: &Request, init: &RequestInit) -> Result<Promise, JsValue> {
    match REPLACED.with_borrow(Clone::clone) {
        Some(fetch) => Ok(Promise::resolve(&fetch.call2(&JsValue::UNDEFINED, request, init)?)),
        None => global_fetch(request, init),
    }
}

/// Puts another function into the place of the global `fetch`, and gives the page's own one.
pub(crate) fn replace_fetch(fetch: &JsValue) -> Option<Function> {
    let present: Function = global("fetch")?.dyn_into().ok()?;
    let first = REPLACED.with_borrow_mut(|replaced| replaced.get_or_insert(present).clone());
    Reflect::set(&js_sys::global(), &"fetch".into(), fetch).ok()?;
    Some(first)
}

/// What a rejection says: any value can be one.
pub(crate) fn text_of(value: &JsValue) -> String {
    let message = |value: &JsValue| Reflect::get(value, &"message".into()).ok()?.as_string();
    value.as_string().or_else(|| message(value)).unwrap_or_else(|| String::from("unknown reason"))
}
