//! Calls that take their time: before an attempt they wait until their route is free (`honourForeignLimits`), after one
//! that failed they may have another (`retries`). Without either option no call comes here.

use std::{rc::Rc, time::Duration};

use js_sys::Promise;
use poolgate_throttle::{Backoff, RejectReason, Rejection, Request};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, future_to_promise, spawn_local};

use crate::{
    answer,
    call::Call,
    client::Core,
    clock, error,
    host::{Answer, BodyStream, Url},
    snapshot::Snapshot,
};

/// What an attempt ended with, as its promise says it.
type Ended = Result<JsValue, JsValue>;

impl Core {
    /// Whether a call may need more than to be submitted once.
    pub(crate) fn takes_its_time(&self, call: &Call, counts: bool) -> bool {
        self.routes.is_some() || counts && call.retries.unwrap_or(self.retries) > 0
    }

    /// Makes the call, in as many attempts as it takes. `counts`: the throttle decides about it.
    pub(crate) fn take_time(self: &Rc<Self>, call: Call, taken: Snapshot, url: Url, counts: bool) -> Promise {
        let core = Rc::clone(self);
        future_to_promise(async move { Attempts::new(core, call, url, counts).run(taken).await })
    }
}

struct Attempts {
    core: Rc<Core>,
    call: Call,
    url: Url,
    counts: bool,
    route: String,
    backoff: Backoff,
    left: u32,
}

impl Attempts {
    fn new(core: Rc<Core>, call: Call, url: Url, counts: bool) -> Self {
        let text = |value: JsValue| value.as_string().unwrap_or_default();
        let route = text(url.origin()) + &text(url.pathname().into());
        let left = if counts { call.retries.unwrap_or(core.retries) } else { 0 };
        Self { core, call, url, counts, route, backoff: Backoff::default(), left }
    }

    async fn run(mut self, taken: Snapshot) -> Ended {
        if !taken.is_repeatable() {
            self.left = 0;
        }
        let admitted = self.wait_for_route().await;
        if let Some(reason) = self.call.aborted() {
            taken.cancel(&reason);
            return Err(reason);
        }
        let mut request = admitted?;
        let (input, init) = taken.into_arguments();
        loop {
            let ended = JsFuture::from(self.send(request, &input, &init)).await;
            self.learn(&ended);
            let Some(wait) = self.wait_for_retry(&ended) else { return ended };
            self.left -= 1;
            discard(&ended);
            self.core.nap(clock::now() + wait, &self.call.signal).await?;
            request = self.wait_for_route().await?;
        }
    }

    fn send(&self, request: Request, input: &JsValue, init: &JsValue) -> Promise {
        if self.counts && !self.core.closed.get() {
            self.core.submit(request, input.clone(), init.clone(), &self.url, self.call.signal.clone())
        } else {
            error::settled(self.core.call_host(input, init))
        }
    }

    /// Waits until the route is free, as long as the call may wait at all; gives what it may still wait for its turn.
    async fn wait_for_route(&self) -> Result<Request, JsValue> {
        let began = clock::now();
        let deadline = began + self.call.request.queue_timeout.unwrap_or(self.core.queue_timeout);
        let bypasses = self.call.request.bypass;
        while let Some(at) = self.core.admit(&self.route).filter(|_| !bypasses) {
            let now = clock::now();
            let full = self.core.queued() >= self.core.max_queue;
            if full || now >= deadline {
                let reason = if full { RejectReason::QueueFull } else { RejectReason::QueueTimeout };
                let rejection = Rejection { reason, retry_after: Some(at.saturating_sub(now)) };
                return Err(error::rejection(&self.core.shell, rejection));
            }
            self.core.nap(at.min(deadline), &self.call.signal).await?;
        }
        let queue_timeout = match clock::now() {
            now if now > began && self.core.routes.is_some() => Some(deadline.saturating_sub(now)),
            _ => self.call.request.queue_timeout,
        };
        Ok(Request { queue_timeout, ..self.call.request })
    }

    /// What the answer says about its route, unless it is the gate's.
    fn learn(&self, ended: &Ended) {
        let (Some(_), Ok(answer)) = (&self.core.routes, ended) else { return };
        let signal = answer::signal(answer);
        if signal == Default::default() {
            return;
        }
        let (core, route, answer) = (Rc::clone(&self.core), self.route.clone(), answer.clone());
        if !answer::may_be_the_gates(&answer) {
            core.learn_route(&route, signal);
            return;
        }
        spawn_local(async move {
            if !answer::is_the_gates(&answer).await {
                core.learn_route(&route, signal);
            }
        });
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

/// Nobody will read this answer: its connection is free for others.
fn discard(ended: &Ended) {
    let body = ended.as_ref().ok().and_then(|answer| js_sys::Reflect::get(answer, &"body".into()).ok());
    if let Some(cancelled) =
        body.and_then(|body| body.dyn_ref::<BodyStream>().map(|body| body.cancel(&JsValue::UNDEFINED)))
    {
        spawn_local(async move {
            let _ = JsFuture::from(cancelled).await;
        });
    }
}
