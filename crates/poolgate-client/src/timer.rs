//! One wake-up of the host: `setTimeout` with a deadline.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use js_sys::Function;
use wasm_bindgen::prelude::*;

use crate::{
    clock,
    host::{self, TimerHandle},
};

/// Longest single wait. `setTimeout` takes 32 bits of milliseconds; who waits longer is woken early and waits again.
const LONGEST: Duration = Duration::from_secs(3600);

/// Calls its handler once the time has come. A timer fires late in a hidden tab, so a handler asks the clock.
///
/// In Node it keeps the process alive only while it is [held](Self::hold).
#[derive(Debug)]
pub(crate) struct Timer {
    handler: Closure<dyn Fn()>,
    armed: RefCell<Option<Armed>>,
    held: Cell<bool>,
}

#[derive(Debug)]
struct Armed {
    at: Duration,
    handle: TimerHandle,
}

impl Timer {
    /// A timer that is not set.
    pub(crate) fn new(handler: impl Fn() + 'static) -> Self {
        Self { handler: Closure::new(handler), armed: RefCell::new(None), held: Cell::new(false) }
    }

    /// Wakes up at `at`, or a little earlier where it was set for an earlier time before: moving a deadline back costs
    /// no call of the host, and the handler sets the timer again anyway.
    pub(crate) fn set(&self, at: Duration, now: Duration) {
        if self.armed.borrow().as_ref().is_some_and(|armed| armed.at <= at) {
            return;
        }
        self.clear();
        let wait = at.saturating_sub(now).min(LONGEST);
        // Rounded up: woken a fraction of a millisecond early, the handler would find nothing to do.
        let handler: &Function = self.handler.as_ref().unchecked_ref();
        if let Ok(handle) = host::set_timeout(handler, clock::to_ms(wait).ceil()) {
            keep_alive(&handle, self.held.get());
            self.armed.replace(Some(Armed { at, handle }));
        }
    }

    /// To be called first by the handler.
    pub(crate) fn fired(&self) {
        self.armed.replace(None);
    }

    /// Forgets the deadline.
    pub(crate) fn clear(&self) {
        if let Some(armed) = self.armed.take() {
            host::clear_timeout(&armed.handle);
        }
    }

    /// Whether somebody waits for what the timer will do.
    pub(crate) fn hold(&self, held: bool) {
        if self.held.replace(held) != held
            && let Some(armed) = &*self.armed.borrow()
        {
            keep_alive(&armed.handle, held);
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.clear();
    }
}

fn keep_alive(handle: &TimerHandle, held: bool) {
    // Browsers give a number, which has no such method.
    if handle.unref_method().is_function() {
        if held {
            handle.ref_()
        } else {
            handle.unref()
        };
    }
}
