//! An event listener that removes itself when it is dropped.

use wasm_bindgen::prelude::*;
use web_sys::EventTarget;

#[derive(Debug)]
pub(crate) struct Listener {
    target: EventTarget,
    kind: &'static str,
    handler: Closure<dyn Fn(web_sys::Event)>,
}

impl Listener {
    /// Listens, or gives the target's exception back.
    pub(crate) fn new(
        target: &JsValue,
        kind: &'static str,
        handler: impl Fn(web_sys::Event) + 'static,
    ) -> Result<Self, JsValue> {
        let target: EventTarget = target.clone().unchecked_into();
        let handler = Closure::new(handler);
        target.add_event_listener_with_callback(kind, handler.as_ref().unchecked_ref())?;
        Ok(Self { target, kind, handler })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // It only throws where adding did already.
        let _ = self.target.remove_event_listener_with_callback(self.kind, self.handler.as_ref().unchecked_ref());
    }
}
