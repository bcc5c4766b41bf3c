//! Both ways to give a request up: the app aborts its signal, or drops the future.

use std::{
    cell::{OnceCell, RefCell},
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use js_sys::{Array, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, AbortSignal, ReferrerPolicy, Request, RequestInit};

use super::{failure::Failure, listener::Listener};
use crate::host;

/// The signal of an app's request.
pub(super) struct AppSignal {
    signal: AbortSignal,
    waker: Rc<RefCell<Option<Waker>>>,
    /// Only a request that really waits listens.
    listener: OnceCell<Listener>,
}

impl AppSignal {
    pub(super) fn of(request: &Request) -> Self {
        Self { signal: request.signal(), waker: Rc::default(), listener: OnceCell::new() }
    }

    /// Fails if the app has aborted the request.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.signal.aborted() { Err(Failure::Aborted(self.signal.reason())) } else { Ok(()) }
    }

    /// Sends the app's request, past the throttle.
    pub(super) fn send(&self, request: &Request) -> Result<Exchange, JsValue> {
        self.send_by(request, |init| host::fetch(request, init))
    }

    /// Sends it with another function like `fetch`. This signal ends it too, and later its body.
    pub(super) fn send_by(
        &self,
        request: &Request,
        fetch: impl FnOnce(&RequestInit) -> Result<Promise, JsValue>,
    ) -> Result<Exchange, JsValue> {
        let controller = AbortController::new()?;
        let init = RequestInit::new();
        // Browsers from before 2024 do not have it: there dropping does not abort.
        if let Ok(either) = any(&Array::of2(&self.signal, &controller.signal())) {
            init.set_signal(Some(&either));
        }
        keep_referrer(request, &init);
        let promise = JsFuture::from(fetch(&init)?);
        Ok(Exchange { promise, controller: Some(controller) })
    }

    /// Waits for a future unless the app aborts before.
    pub(super) async fn unless_aborted<F: Future>(&self, future: F) -> Result<F::Output, Failure> {
        let mut future = pin!(future);
        poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            if let Err(aborted) = self.check() {
                return Poll::Ready(Err(aborted));
            }
            self.waker.replace(Some(context.waker().clone()));
            self.listener.get_or_init(|| {
                let waker = Rc::clone(&self.waker);
                Listener::new(&self.signal, "abort", move |_| {
                    if let Some(waker) = waker.take() {
                        waker.wake();
                    }
                })
            });
            Poll::Pending
        })
        .await
    }
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch, js_namespace = AbortSignal)]
    fn any(signals: &Array) -> Result<AbortSignal, JsValue>;
}

/// A request on its way. Dropping it aborts the request.
pub(super) struct Exchange {
    promise: JsFuture,
    /// `None` once there is an answer, whose body must go on.
    controller: Option<AbortController>,
}

impl Future for Exchange {
    type Output = Result<JsValue, JsValue>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = Pin::new(&mut self.promise).poll(context);
        if polled.is_ready() {
            self.controller = None;
        }
        polled
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(controller) = &self.controller {
            controller.abort();
        }
    }
}

/// A second argument of `fetch` removes the referrer that the app chose, unless it is named again.
fn keep_referrer(request: &Request, init: &RequestInit) {
    let policy = request.referrer_policy();
    if policy != ReferrerPolicy::None {
        init.set_referrer_policy(policy);
    }
    let referrer = request.referrer();
    if referrer != "about:client" {
        init.set_referrer(&referrer);
    }
}
