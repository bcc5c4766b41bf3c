//! A listener that lasts as long as its guard.

use wasm_bindgen::prelude::*;
use web_sys::{Event, EventTarget};

/// Removes the listener when dropped.
#[derive(Debug)]
pub(super) struct Listener {
    target: EventTarget,
    kind: &'static str,
    act: Closure<dyn FnMut(Event)>,
}

impl Listener {
    pub(super) fn new(target: &EventTarget, kind: &'static str, act: impl FnMut(Event) + 'static) -> Self {
        let act = Closure::new(act);
        // It throws only for a listener that is no function.
        let _ = target.add_event_listener_with_callback(kind, act.as_ref().unchecked_ref());
        Self { target: target.clone(), kind, act }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.target.remove_event_listener_with_callback(self.kind, self.act.as_ref().unchecked_ref());
    }
}
