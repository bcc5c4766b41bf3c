//! Which requests are throttled, and the address of each.

use js_sys::Function;
use wasm_bindgen::prelude::*;

use crate::{
    host::{self, Location, Page, Shell, Url},
    options::Base,
};

#[derive(Debug)]
pub(crate) struct Scope {
    http: JsValue,
    origin: JsValue,
    health_prefix: JsValue,
    /// The app's own choice.
    throttles: Option<Function>,
    relative_to: RelativeTo,
    shell: Shell,
}

/// What a relative address is relative to; read each time, because `history.pushState` changes it.
#[derive(Debug)]
enum RelativeTo {
    Page(JsValue),
    Worker(JsValue),
    /// Node: the host's fetch refuses relative addresses.
    Nothing,
}

impl Scope {
    pub(crate) fn new(base: &Base, throttles: Option<Function>, shell: Shell) -> Self {
        Self {
            http: "http".into(),
            origin: base.origin.clone(),
            health_prefix: base.health_prefix().into(),
            throttles,
            relative_to: RelativeTo::here(),
            shell,
        }
    }

    /// The absolute address of a request; `None` where the host's fetch will refuse it.
    pub(crate) fn address(&self, input: &JsValue) -> Option<Url> {
        if let Some(request) = input.dyn_ref::<web_sys::Request>() {
            return Url::new(&request.url().into(), &JsValue::UNDEFINED).ok();
        }
        Url::new(input, &self.relative_to.address()).ok()
    }

    /// Whether a request to this address counts.
    pub(crate) fn covers(&self, url: &Url) -> bool {
        // What is in memory asks no server, though the origin of a blob is the page's.
        if !url.protocol().starts_with(&self.http) {
            return false;
        }
        match &self.throttles {
            None => url.origin() == self.origin && !url.pathname().starts_with(&self.health_prefix),
            Some(choose) => match choose.call1(&JsValue::UNDEFINED, url) {
                Ok(answer) => answer.is_truthy(),
                Err(_) => {
                    // The app's request must not fail because the app's predicate did.
                    self.shell.warn("option `throttles` threw; the request is not throttled");
                    false
                }
            },
        }
    }
}

impl RelativeTo {
    fn here() -> Self {
        let document = host::global("document");
        if document.is_object() {
            return Self::Page(document);
        }
        let location = host::global("location");
        if location.is_object() { Self::Worker(location) } else { Self::Nothing }
    }

    fn address(&self) -> JsValue {
        match self {
            Self::Page(page) => page.unchecked_ref::<Page>().base_uri(),
            Self::Worker(location) => location.unchecked_ref::<Location>().location_href(),
            Self::Nothing => JsValue::UNDEFINED,
        }
    }
}
