//! Follows the page as it comes and goes.

use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::{Document, EventTarget};

use super::{
    driver::{Driver, WeakDriver},
    listener::Listener,
    worker,
};
use crate::host;

/// Tells the driver, as long as it lives. A worker has no page to watch.
#[derive(Debug)]
pub(super) struct Page {
    _listeners: Vec<Listener>,
}

impl Page {
    pub(super) fn watch(driver: &WeakDriver) -> Self {
        let global: EventTarget = js_sys::global().unchecked_into();
        let on = |target: &EventTarget, kind, act: fn(&Driver)| {
            let driver = driver.clone();
            Listener::new(target, kind, move |_| driver.with(act))
        };
        let mut listeners = vec![on(&global, "online", |driver| {
            driver.look(true);
            if Self::is_hidden() {
                driver.look(false);
            }
        })];
        if let Some(document) = document() {
            listeners.push(on(&document, "visibilitychange", |driver| driver.look(!Self::is_hidden())));
            // A page that is left may return from the back/forward cache.
            listeners.push(on(&global, "pagehide", Driver::rest));
            listeners.push(on(&global, "pageshow", |driver| {
                driver.lead();
                driver.advance();
                spawn_local(worker::announce());
            }));
        }
        // A new worker does not know this page.
        let workers = worker::container();
        listeners.extend(workers.map(|workers| on(&workers, "controllerchange", |_| spawn_local(worker::announce()))));
        Self { _listeners: listeners }
    }

    pub(super) fn is_hidden() -> bool {
        document().is_some_and(|document| document.hidden())
    }
}

fn document() -> Option<Document> {
    host::global("document").map(JsValue::unchecked_into)
}
