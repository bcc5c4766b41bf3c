//! What a call of `fetch` says about its own place in the queue.

use js_sys::Reflect;
use poolgate_throttle::{Priority, Request};
use wasm_bindgen::prelude::*;

use crate::{
    host::{Init, RequestOptions},
    options::{queue_timeout, retries, wrong},
};

/// The part of the arguments that the throttle is told, and the signal that ends the wait.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) request: Request,
    /// How often it may be tried again, where it says so.
    pub(crate) retries: Option<u32>,
    /// The app's `AbortSignal`, or `undefined`.
    pub(crate) signal: JsValue,
}

impl Call {
    /// Reads the arguments. `Err` is what the app's getters threw, or a `TypeError`.
    pub(crate) fn read(input: &JsValue, init: &JsValue) -> Result<Self, JsValue> {
        let (mut request, mut tries) = (Request::default(), None);
        if !init.is_object() {
            return Ok(Self { request, retries: tries, signal: signal(input, &JsValue::UNDEFINED)? });
        }
        let given: &Init = init.unchecked_ref();
        if let Some(priority) = native_priority(&given.priority()?) {
            request.priority = priority;
        }
        let options = given.poolgate()?;
        if options.is_object() {
            let options: &RequestOptions = options.unchecked_ref();
            request.bypass = options.bypass()?.is_truthy();
            request.queue_timeout = queue_timeout(&options.queue_timeout_ms()?)?;
            tries = retries(&options.retries()?)?;
            if let Some(priority) = own_priority(&options.own_priority()?)? {
                request.priority = priority;
            }
        }
        Ok(Self { request, retries: tries, signal: signal(input, init)? })
    }

    /// Why the app has given up already.
    pub(crate) fn aborted(&self) -> Option<JsValue> {
        abort_reason(&self.signal)
    }
}

/// The signal in force: that of `init`, else that of a `Request`.
pub(crate) fn signal(input: &JsValue, init: &JsValue) -> Result<JsValue, JsValue> {
    if init.is_object() {
        let signal = init.unchecked_ref::<Init>().signal()?;
        // `null` takes the request's own signal away.
        if !signal.is_undefined() {
            return Ok(signal);
        }
    }
    match input.dyn_ref::<web_sys::Request>() {
        Some(request) => Ok(request.signal().into()),
        None => Ok(JsValue::UNDEFINED),
    }
}

/// The reason, as it is, of a signal that is aborted.
pub(crate) fn abort_reason(signal: &JsValue) -> Option<JsValue> {
    if !signal.is_object() || !Reflect::get(signal, &"aborted".into()).is_ok_and(|aborted| aborted.is_truthy()) {
        return None;
    }
    Some(Reflect::get(signal, &"reason".into()).unwrap_or_default())
}

/// `RequestInit.priority`; fetch itself refuses other words.
fn native_priority(value: &JsValue) -> Option<Priority> {
    match value.as_string()?.as_str() {
        "high" => Some(Priority::High),
        "low" => Some(Priority::Low),
        _ => None,
    }
}

fn own_priority(value: &JsValue) -> Result<Option<Priority>, JsValue> {
    if value.is_undefined() {
        return Ok(None);
    }
    match value.as_string().as_deref() {
        Some("critical") => Ok(Some(Priority::Critical)),
        Some("high") => Ok(Some(Priority::High)),
        Some("normal") => Ok(Some(Priority::Normal)),
        Some("low") => Ok(Some(Priority::Low)),
        _ => Err(wrong("`poolgate.priority` must be one of \"critical\", \"high\", \"normal\", \"low\"")),
    }
}
