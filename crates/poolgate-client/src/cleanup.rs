//! Asking the server to clean its pool up: by the app's wish, and by itself when severe throttling lasts.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
    time::Duration,
};

use poolgate_types::{Level, routes};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::{
    answer,
    client::Core,
    clock, error,
    host::{self, Answer},
    options::Base,
    timer::Timer,
    transport::{chance, send},
};

/// How long throttling must be severe before a client asks; each waits up to twice as long, so that a few ask first.
const PATIENCE: Duration = Duration::from_secs(30);
/// One browser asks at most this often. The wait doubles with each request that changed nothing, up to [`LONGEST`].
const SPACING: Duration = Duration::from_secs(300);
const LONGEST: Duration = Duration::from_secs(3600);

/// Asks for a cleanup while throttling stays AGGRESSIVE or EMERGENCY.
#[derive(Debug)]
pub(crate) struct AutoCleanup {
    enabled: Cell<bool>,
    url: String,
    /// Where all tabs of a browser keep the time of the last request.
    key: String,
    due: Cell<Option<Duration>>,
    asked: Cell<u32>,
    /// The last request in Unix milliseconds, where there is no `localStorage`.
    remembered: Cell<Option<u64>>,
    timer: Timer,
    core: RefCell<Weak<Core>>,
}

impl AutoCleanup {
    pub(crate) fn new(enabled: bool, base: &Base, core: Weak<Core>) -> Self {
        let weak = core.clone();
        Self {
            enabled: Cell::new(enabled),
            url: base.route(routes::FORCE_CLEANUP),
            key: format!("poolgate-cleanup {}", base.route("")),
            due: Cell::new(None),
            asked: Cell::new(0),
            remembered: Cell::new(None),
            timer: Timer::new(move || {
                if let Some(core) = weak.upgrade() {
                    core.cleanup.timer.fired();
                    core.cleanup.wake();
                }
            }),
            core: RefCell::new(core),
        }
    }

    /// The level is another one.
    pub(crate) fn observe(&self, level: Level, now: Duration) {
        if level < Level::Aggressive {
            self.due.set(None);
            self.asked.set(0);
            self.timer.clear();
        } else if self.due.get().is_none() {
            self.schedule(PATIENCE.mul_f64(1.0 + chance()), now);
        }
    }

    /// Stops for good.
    pub(crate) fn close(&self) {
        self.enabled.set(false);
        self.timer.clear();
    }

    fn schedule(&self, wait: Duration, now: Duration) {
        if self.enabled.get() {
            self.due.set(Some(now + wait));
            self.timer.set(now + wait, now);
        }
    }

    fn wake(&self) {
        let now = clock::now();
        match self.due.get() {
            Some(due) if due <= now => {}
            Some(due) => return self.timer.set(due, now),
            None => return,
        }
        let Some(core) = self.core.borrow().upgrade() else { return };
        let spacing = SPACING.saturating_mul(1 << self.asked.get().min(8)).min(LONGEST);
        self.schedule(spacing.mul_f64(1.0 + 0.2 * chance()), now);
        if !self.claim() {
            return;
        }
        self.asked.set(self.asked.get().saturating_add(1));
        wasm_bindgen_futures::spawn_local(async move {
            let refused = match send(&core, &core.cleanup.url, "method", "POST").await {
                Ok(answer) if answer.is_object() => answer::status(answer.unchecked_ref()),
                _ => 0,
            };
            // The server does not want to be asked by this page; too many requests are a matter of time alone.
            if (400..500).contains(&refused) && refused != 429 {
                core.cleanup.close();
            }
        });
    }

    /// Takes this browser's turn, if another tab has not taken it within [`SPACING`].
    fn claim(&self) -> bool {
        // Whole milliseconds after 1970.
        let now = js_sys::Date::now() as u64;
        let storage = host::storage();
        let stored = storage.as_ref().and_then(|storage| storage.get_item(&self.key).ok().flatten());
        // Where storage is missing or forbidden, the page remembers by itself.
        let last = stored.and_then(|text| text.parse().ok()).or(self.remembered.get());
        // A clock that was set back must not block the turn for ever.
        let recent = |last| now.checked_sub(last).is_some_and(|passed| Duration::from_millis(passed) < SPACING);
        if last.is_some_and(recent) {
            return false;
        }
        self.remembered.set(Some(now));
        if let Some(storage) = storage {
            let _ = storage.set_item(&self.key, &now.to_string());
        }
        true
    }
}

/// Asks once, for the app. Fulfilled with the server's report.
pub(crate) async fn cleanup(core: Rc<Core>) -> Result<JsValue, JsValue> {
    let answer = send(&core, &core.cleanup.url, "method", "POST").await?;
    if !answer.is_object() {
        return Err(error::error(&core.shell, "cleanup_failed", "no answer to the cleanup", None));
    }
    let answer: &Answer = answer.unchecked_ref();
    let (status, retry_after) = (answer::status(answer), answer::retry_after_of(answer));
    let body = JsFuture::from(answer::json(answer)?).await;
    if (200..300).contains(&status) {
        return body;
    }
    let code = body.ok().and_then(|problem| js_sys::Reflect::get(&problem, &"code".into()).ok()?.as_string());
    let message = format!("the server refused the cleanup with status {status}");
    Err(error::error(&core.shell, code.as_deref().unwrap_or("cleanup_failed"), &message, retry_after))
}
