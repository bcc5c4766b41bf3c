//! Calls that take their time: before an attempt they wait until their route is free (`honourForeignLimits`), after one
//! that failed they may have another (`retries`). Without either option no call comes here.

use std::{rc::Rc, time::Duration};

use js_sys::Promise;
use poolgate_throttle::{Backoff, RejectReason, Rejection, Request};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, future_to_promise};

use crate::{
    answer,
    call::Call,
    client::Core,
    clock, error,
    host::Answer,
    scope::Address,
    snapshot::{self, Snapshot},
};

/// What an attempt ended with, as its promise says it.
type Ended = Result<JsValue, JsValue>;

impl Core {
    /// Whether a call may need more than to be submitted once.
    pub(crate) fn takes_its_time(&self, call: &Call, counts: bool) -> bool {
        self.routes.is_some() || counts && call.retries.unwrap_or(self.retries) > 0
    }

    /// Makes the call, in as many attempts as it takes. `counts`: the throttle decides about it.
    pub(crate) fn take_time(self: &Rc<Self>, call: Call, taken: Snapshot, address: Address, counts: bool) -> Promise {
        let core = Rc::clone(self);
        future_to_promise(async move { Attempts::new(core, call, address, counts).run(taken).await })
    }
}

struct Attempts {
    core: Rc<Core>,
    call: Call,
    address: Address,
    counts: bool,
    route: String,
    backoff: Backoff,
    left: u32,
}

impl Attempts {
    fn new(core: Rc<Core>, call: Call, address: Address, counts: bool) -> Self {
        let route = address.route();
        let left = if counts { call.retries.unwrap_or(core.retries) } else { 0 };
        Self { core, call, address, counts, route, backoff: Backoff::default(), left }
    }

    async fn run(mut self, mut taken: Snapshot) -> Ended {
        if !taken.is_repeatable() {
            self.left = 0;
        }
        let mut not_before = None;
        loop {
            let mut admitted = self.wait(not_before, taken.is_keepalive()).await;
            if admitted.as_ref().is_err_and(JsValue::is_undefined) {
                // The page was left: now, or never.
                admitted = Ok(Request { bypass: true, ..self.call.request });
            }
            if let Some(reason) = self.call.aborted() {
                taken.cancel(&reason);
                return Err(reason);
            }
            let request = admitted?;
            let (input, init) = taken.arguments();
            let ended = JsFuture::from(self.send(request, input, init)).await;
            if let (Some(_), Ok(answer)) = (&self.core.routes, &ended) {
                self.core.heed(answer, Some(self.route.clone()));
            }
            let Some(wait) = self.wait_for_retry(&ended) else { return ended };
            self.left -= 1;
            not_before = Some(clock::now() + wait);
            if let Ok(answer) = &ended {
                // Nobody will read it: its connection is free for others.
                snapshot::cancel_body(answer, &JsValue::UNDEFINED);
            }
        }
    }

    fn send(&self, request: Request, input: JsValue, init: JsValue) -> Promise {
        if self.counts && !self.core.closed.get() {
            self.core.submit(request, input, init, &self.address, self.call.signal.clone())
        } else {
            error::settled(self.core.call_host(&input, &init))
        }
    }

    /// Waits until then, and until the route is free, as long as the call may wait at all; gives what it may still wait for
    /// its turn.
    async fn wait(&self, mut not_before: Option<Duration>, keepalive: bool) -> Result<Request, JsValue> {
        let (core, request) = (&self.core, self.call.request);
        let began = not_before.unwrap_or_else(clock::now);
        let deadline = began + request.queue_timeout.unwrap_or(core.queue_timeout);
        let mut waited = false;
        while let Some(at) = not_before.take().or_else(|| core.admit(&self.route).filter(|_| !request.bypass)) {
            let now = clock::now();
            let full = core.queued() >= core.max_queue;
            if full || now >= deadline {
                let reason = if full { RejectReason::QueueFull } else { RejectReason::QueueTimeout };
                let rejection = Rejection { reason, retry_after: Some(at.saturating_sub(now)) };
                return Err(error::rejection(&core.shell, rejection));
            }
            core.nap(at.min(deadline), &self.call.signal, keepalive).await?;
            waited = true;
        }
        let left = deadline.saturating_sub(clock::now());
        Ok(Request { queue_timeout: if waited { Some(left) } else { request.queue_timeout }, ..request })
    }

    /// How long to wait before another attempt; `None`: there is none.
    fn wait_for_retry(&mut self, ended: &Ended) -> Option<Duration> {
        let core = &self.core;
        if self.left == 0 || self.call.aborted().is_some() || core.closed.get() || core.queued() >= core.max_queue {
            return None;
        }
        let asked = match ended {
            Ok(answer) => {
                let answer: &Answer = answer.is_object().then(|| answer.unchecked_ref())?;
                matches!(answer::status(answer), 429 | 502 | 503 | 504).then(|| answer::retry_after_of(answer))?
            }
            // Ours: nothing was sent, and the throttle has said when to return.
            Err(error) if core.shell.made(error) => return None,
            Err(_) => None,
        };
        core.throttle.borrow_mut().retry(&mut self.backoff, asked, clock::now())
    }
}
