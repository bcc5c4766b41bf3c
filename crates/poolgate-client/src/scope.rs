//! Which requests are throttled, and the address of each.

use std::cell::RefCell;

use js_sys::Function;
use wasm_bindgen::prelude::*;

use crate::{
    host::{self, Location, Page, Pattern, Shell, Url},
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
    plain: Plain,
    shell: Shell,
}

/// Where a request goes. Parsing it costs more than all the rest of a call, so that is left until it is needed.
#[derive(Debug)]
pub(crate) enum Address {
    /// The text says already that it counts.
    Plain {
        text: JsValue,
        base: JsValue,
    },
    Parsed(Url),
}

/// What tells of a text that it is an address which counts, whatever a parser would make of the rest of it.
#[derive(Debug)]
struct Plain {
    relative: Pattern,
    absolute: Pattern,
    /// The last base of relative addresses, and whether it is of the origin that counts.
    base: RefCell<(JsValue, bool)>,
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
            plain: Plain::new(base),
            shell,
        }
    }

    /// The absolute address of a request; `None` where the host's fetch will refuse it.
    pub(crate) fn address(&self, input: &JsValue) -> Option<Address> {
        if let Some(request) = input.dyn_ref::<web_sys::Request>() {
            return Url::new(&request.url().into(), &JsValue::UNDEFINED).ok().map(Address::Parsed);
        }
        let base = self.relative_to.address();
        if self.throttles.is_none() && self.plain.covers(input, &base, &self.origin) {
            return Some(Address::Plain { text: input.clone(), base });
        }
        Url::new(input, &base).ok().map(Address::Parsed)
    }

    /// Whether a request to this address counts.
    pub(crate) fn covers(&self, address: &Address) -> bool {
        let Address::Parsed(url) = address else { return true };
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

impl Address {
    pub(crate) fn href(&self) -> JsValue {
        match self {
            Self::Plain { text, base } => Url::new(text, base).map_or_else(|_| text.clone(), |url| url.href()),
            Self::Parsed(url) => url.href(),
        }
    }

    /// Origin and path: what limits of others are about.
    pub(crate) fn route(&self) -> String {
        let text = |part: JsValue| part.as_string().unwrap_or_default();
        Url::new(&self.href(), &JsValue::UNDEFINED)
            .map(|url| text(url.origin()) + &text(url.pathname().into()))
            .unwrap_or_default()
    }
}

impl Plain {
    fn new(base: &Base) -> Self {
        // A path that begins with one slash, without anything that a parser removes, decodes or resolves, and not of the
        // health API. Its query and fragment may be anything.
        let path = format!(r"(?!{})/(?:[\w-](?:[^?#%\\\s/]|/(?!\.))*)?(?:[?#]|$)", quoted(&base.health_prefix()));
        let origin = quoted(&base.origin.as_string().unwrap_or_default());
        Self {
            relative: Pattern::new(&format!("^{path}")),
            absolute: Pattern::new(&format!("^{origin}{path}")),
            base: RefCell::default(),
        }
    }

    fn covers(&self, input: &JsValue, base: &JsValue, origin: &JsValue) -> bool {
        if !input.is_string() {
            return false;
        }
        if self.relative.test(input) {
            let mut known = self.base.borrow_mut();
            if known.0 != *base {
                let same = Url::new(base, &JsValue::UNDEFINED).is_ok_and(|url| url.origin() == *origin);
                *known = (base.clone(), same);
            }
            return known.1;
        }
        self.absolute.test(input)
    }
}

/// A pattern for this very text.
fn quoted(text: &str) -> String {
    let mut pattern = String::new();
    for character in text.chars() {
        if character.is_ascii_punctuation() {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
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
