//! Waits of single calls outside the throttle's queue: for a route that has limits of its own, and before another attempt.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use js_sys::{Function, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::{call, client::Core, clock, error, listener::Listener, table::Table, timer::Timer};

/// The calls that wait here.
#[derive(Debug, Default)]
pub(crate) struct Naps {
    sleeping: RefCell<Table<Nap>>,
    last: Cell<u64>,
}

#[derive(Debug)]
struct Nap {
    /// The call may outlive the page.
    keepalive: bool,
    reject: Function,
    _timer: Timer,
    /// Dropped with the nap, and so removed from the app's signal.
    _abort: Option<Listener>,
}

impl Naps {
    pub(crate) fn len(&self) -> usize {
        self.sleeping.borrow().len()
    }

    fn begin(&self, nap: Nap) -> u64 {
        let id = self.last.get() + 1;
        self.last.set(id);
        self.sleeping.borrow_mut().insert(id, nap);
        id
    }
}

impl Core {
    /// Waits until then. `Err`: the reason of the call's signal, or that the client was closed; `undefined`: the page was left,
    /// which a call that may outlive it does not wait out.
    pub(crate) async fn nap(
        self: &Rc<Self>,
        until: Duration,
        signal: &JsValue,
        keepalive: bool,
    ) -> Result<(), JsValue> {
        let mut functions = None;
        let promise = Promise::new(&mut |resolve, reject| functions = Some((resolve, reject)));
        let Some((resolve, reject)) = functions else { return Ok(()) };
        let timer = Timer::new(move || {
            let _ = resolve.call0(&JsValue::UNDEFINED);
        });
        timer.hold(true);
        timer.set(until, clock::now());
        let abort = {
            let (signal, reject) = (signal.clone(), reject.clone());
            move |_| {
                let _ = reject.call1(&JsValue::UNDEFINED, &call::abort_reason(&signal).unwrap_or_default());
            }
        };
        let abort = signal.is_object().then(|| Listener::new(signal, "abort", abort).ok()).flatten();
        let id = self.naps.begin(Nap { keepalive, reject, _timer: timer, _abort: abort });
        self.pump();
        let ended = JsFuture::from(promise).await;
        let nap = self.naps.sleeping.borrow_mut().remove(id);
        drop(nap);
        self.pump();
        ended.map(drop)
    }

    /// The client is closed: nobody waits any more; or the page is left: calls that may outlive it do not.
    pub(crate) fn end_naps(&self, left: bool) {
        let naps = self.naps.sleeping.borrow_mut().extract_if(|nap| nap.keepalive || !left);
        let why = if left { JsValue::UNDEFINED } else { error::closed(&self.shell) };
        for nap in naps {
            let _ = nap.reject.call1(&JsValue::UNDEFINED, &why);
        }
    }
}
