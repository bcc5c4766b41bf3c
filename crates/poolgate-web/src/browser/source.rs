//! The client for JavaScript, as `<poolgate-status>` and the page's scripts want it.

use std::{future::poll_fn, sync::Arc};

use js_sys::{Object, Promise, Reflect};
use serde::Serialize;
use serde_wasm_bindgen::Serializer;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{future_to_promise, spawn_local};
use web_sys::{CustomEvent, CustomEventInit, EventTarget};

use super::own_request;
use crate::{State, core::Core};

/// An `EventTarget` with `state` and `refresh`.
pub(crate) fn to_js(core: &Arc<Core>) -> JsValue {
    make(core).unwrap_or(JsValue::UNDEFINED)
}

fn make(core: &Arc<Core>) -> Result<JsValue, JsValue> {
    let target = EventTarget::new()?;
    let weak = Arc::downgrade(core);
    // Both closures go with the object.
    let state = Closure::<dyn Fn() -> JsValue>::new({
        let weak = weak.clone();
        move || weak.upgrade().map_or(JsValue::UNDEFINED, |core| value_of(&core.state()))
    });
    let refresh = Closure::<dyn Fn() -> Promise>::new({
        let weak = weak.clone();
        move || {
            let core = weak.upgrade();
            future_to_promise(async move {
                let core = core.ok_or_else(|| js_sys::Error::new("the client is closed"))?;
                let config = own_request::ask(&core).await;
                config.map(|config| value_of(&config)).map_err(|error| js_sys::Error::new(&error.to_string()).into())
            })
        }
    });
    let getter = Object::new();
    Reflect::set(&getter, &"get".into(), &state.into_js_value())?;
    Reflect::define_property(&target, &"state".into(), &getter)?;
    Reflect::set(&target, &"refresh".into(), &refresh.into_js_value())?;

    let (watch, events) = (Arc::clone(&core.watch), target.clone());
    let mut before = core.state();
    let mut seen = watch.changes();
    spawn_local(async move {
        while let Some(changes) = poll_fn(|context| watch.poll_changes(seen, context)).await {
            seen = changes;
            let Some(core) = weak.upgrade() else { return };
            let now = core.state();
            for (kind, detail) in differences(&before, &now) {
                emit(&events, kind, &detail);
            }
            before = now;
        }
    });
    Ok(target.into())
}

/// The events of the npm package, with their details.
fn differences(before: &State, now: &State) -> Vec<(&'static str, JsValue)> {
    #[derive(Serialize)]
    struct Change<T> {
        from: T,
        to: T,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Queue {
        queued: usize,
        in_flight: u32,
    }
    #[derive(Serialize)]
    struct Sync {
        stale: bool,
        transport: crate::Transport,
    }
    let mut events = Vec::new();
    if before.config != now.config {
        events.push(("config", value_of(&now.config)));
    }
    if before.level != now.level {
        events.push(("levelchange", value_of(&Change { from: before.level, to: now.level })));
    }
    if before.breaker != now.breaker {
        events.push(("breakerchange", value_of(&Change { from: before.breaker, to: now.breaker })));
    }
    if before.queued != now.queued {
        events.push(("queuechange", value_of(&Queue { queued: now.queued, in_flight: now.in_flight })));
    }
    if (before.stale, before.transport) != (now.stale, now.transport) {
        events.push(("syncchange", value_of(&Sync { stale: now.stale, transport: now.transport })));
    }
    events
}

fn emit(target: &EventTarget, kind: &str, detail: &JsValue) {
    let init = CustomEventInit::new();
    init.set_detail(detail);
    if let Ok(event) = CustomEvent::new_with_event_init_dict(kind, &init) {
        // It throws only for an event that is being dispatched.
        let _ = target.dispatch_event(&event);
    }
}

/// As JSON would have it: a missing value is `null`.
pub(super) fn value_of(value: &impl Serialize) -> JsValue {
    value.serialize(&Serializer::json_compatible()).unwrap_or(JsValue::UNDEFINED)
}
