//! The budget between one life of a page and the next: what the throttle saves, kept in `localStorage`.
//!
//! Of all tabs only the one that leads writes. Whoever leads next, after a reload or in another tab, goes on with it. A
//! worker has no storage: while one leads, it tells the pages, and one of them writes.

use std::{cell::Cell, time::Duration};

use js_sys::{Array, JSON};
use poolgate_throttle::{Savings, Throttle};
use wasm_bindgen::prelude::*;

use crate::{clock, host, options::Base};

/// Storage is written at most this often, besides when the page is left.
const SPACING: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Budget {
    key: String,
    next_save: Cell<Duration>,
    stored: Cell<bool>,
}

impl Budget {
    pub(crate) fn new(base: &Base) -> Self {
        let key = format!("poolgate-budget {}", base.route(""));
        Self { key, next_save: Cell::new(Duration::ZERO), stored: Cell::new(false) }
    }

    /// Gives the throttle what an earlier one left, if anything.
    pub(crate) fn restore(&self, throttle: &mut Throttle, now: Duration) {
        let text = host::storage().and_then(|storage| storage.get_item(&self.key).ok().flatten());
        let Some((savings, age)) = text.and_then(|text| read(&text)) else { return };
        self.stored.set(true);
        throttle.restore(&savings, age, now);
    }

    /// Whether it is time to [save](Self::save) again.
    pub(crate) fn is_due(&self, now: Duration) -> bool {
        now >= self.next_save.get()
    }

    /// Stores what the throttle has left, or forgets it where a newcomer would have no more. Without storage: gives the key and
    /// the text for a page to store.
    pub(crate) fn save(&self, savings: Option<Savings>, now: Duration) -> Option<Array> {
        self.next_save.set(now + SPACING);
        if savings.is_none() && !self.stored.get() {
            return None;
        }
        self.stored.set(savings.is_some());
        let text = savings.map(|savings| written(&savings));
        let Some(storage) = host::storage() else {
            return text.map(|text| Array::of2(&self.key.as_str().into(), &text.into()));
        };
        // Full or forbidden: then a reload begins as a newcomer does.
        let _ = match text {
            Some(text) => storage.set_item(&self.key, &text),
            None => storage.remove_item(&self.key),
        };
        None
    }
}

/// A list of numbers, as JSON: JavaScript writes them, so that no such code is in the module.
fn written(savings: &Savings) -> String {
    let numbers = [
        js_sys::Date::now(),
        savings.tokens,
        savings.rate_per_second,
        savings.next_cost,
        savings.paused_for_seconds,
        // Unix milliseconds.
        savings.epoch as f64,
    ];
    let list = numbers.into_iter().map(JsValue::from_f64).collect::<Array>();
    JSON::stringify(&list).map(String::from).unwrap_or_default()
}

fn read(text: &str) -> Option<(Savings, Duration)> {
    let list: Array = JSON::parse(text).ok()?.dyn_into().ok()?;
    let number = |index| list.get(index).as_f64();
    let savings = Savings {
        tokens: number(1)?,
        rate_per_second: number(2)?,
        next_cost: number(3)?,
        paused_for_seconds: number(4)?,
        epoch: number(5)? as u64,
    };
    // A clock that was set back: nothing has been earned since.
    Some((savings, clock::from_ms(js_sys::Date::now() - number(0)?)))
}
