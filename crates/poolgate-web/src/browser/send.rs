//! The app's requests: queued, sent, answered, repeated.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use gloo_net::http;
use gloo_timers::future::TimeoutFuture;
use poolgate_front::{Asked, Head, is_the_gates};
use poolgate_throttle::{Backoff, Outcome};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Request, RequestInit, Response};

use super::{abort::AppSignal, document, failure::Failure, own_request::document_of};
use crate::{Ask, Error, core::Core, host};

/// Idempotent methods (RFC 9110, 9.2.2).
const IDEMPOTENT: [&str; 5] = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"];
const RETRIED_STATUSES: [u16; 4] = [429, 502, 503, 504];

/// Sends a request when its time has come.
pub(crate) async fn fetch(core: &Arc<Core>, request: &Request, ask: Ask) -> Result<http::Response, Error> {
    Ok(send(core, request, ask).await?.into())
}

/// The same, with the failures as JavaScript gave them.
pub(super) async fn send(core: &Arc<Core>, request: &Request, ask: Ask) -> Result<Response, Failure> {
    let is_covered = !core.is_closed() && core.covers(&request.url());
    let ask = is_covered.then_some(ask);
    let signal = AppSignal::of(request);
    signal.check()?;
    let mut left = ask.map_or(0, |ask| ask.retries.unwrap_or(core.options.retries));
    let mut backoff = Backoff::default();
    loop {
        let ended = attempt(core, request, ask, &signal).await;
        if left == 0 {
            return ended;
        }
        let Some(wait) = retry(core, request, &ended, &mut backoff) else { return ended };
        left -= 1;
        if let Some(body) = ended.ok().and_then(|answer| answer.body()) {
            // This answer will not be read: its connection is free for others.
            spawn_local(async move { drop(JsFuture::from(body.cancel()).await) });
        }
        nap(core, wait, &signal).await?;
    }
}

/// Sends a request once. Without an ask it is not throttled.
async fn attempt(
    core: &Arc<Core>,
    request: &Request,
    ask: Option<Ask>,
    signal: &AppSignal,
) -> Result<Response, Failure> {
    let rejected = |rejection| Failure::Rejected(Error::from(rejection));
    let ticket = match ask.map(|ask| core.front.ask(ask.request())) {
        None => None,
        Some(Asked::Start(ticket)) => Some(ticket),
        Some(Asked::Queued(waiting)) => Some(signal.unless_aborted(waiting).await?.map_err(rejected)?),
        Some(Asked::Rejected(rejection)) => return Err(rejected(rejection)),
    };
    core.save_if_due();
    // From here on the ticket counts as aborted if this future is dropped.
    let exchange = signal.send(request).map_err(Failure::Thrown)?;
    match exchange.await {
        Ok(answer) => {
            let answer: Response = answer.unchecked_into();
            if let Some(ticket) = ticket {
                let head = head_of(&answer);
                ticket.finish(&head, false);
                core.save_if_due();
                heed(core, &head, &answer);
            }
            Ok(answer)
        }
        Err(thrown) => {
            signal.check()?;
            if let Some(ticket) = ticket {
                ticket.complete(Outcome::Failure);
            }
            Err(Failure::Thrown(thrown))
        }
    }
}

pub(super) fn head_of(answer: &Response) -> Head {
    let headers = answer.headers();
    Head::read(answer.status(), |name| headers.get(name).ok().flatten(), &host::Today)
}

/// Reads what may be a rejection by the gate, from a copy: the app's own body stays unread.
fn heed(core: &Core, head: &Head, answer: &Response) {
    if !head.may_be_rejection() {
        return;
    }
    let Ok(copy) = answer.clone() else { return };
    let (front, head) = (core.front.clone(), head.clone());
    spawn_local(async move {
        let Some(problem) = document_of(&copy).await else { return };
        let text = |member| document::text(&problem, member);
        if is_the_gates(text("code").as_deref(), text("type").as_deref()) {
            front.heed(&head);
        }
    });
}

/// Whether it can be sent again: the method is idempotent, and there is no body that the first attempt has used up. Some
/// browsers do not say whether a request has a body. A request without one can be sent as often as one likes.
fn is_repeatable(request: &Request) -> bool {
    let method = request.method();
    let has_no_body = || js_sys::Reflect::get(request, &"body".into()).is_ok_and(|body| body.is_null());
    IDEMPOTENT.contains(&method.as_str()) && (matches!(method.as_str(), "GET" | "HEAD") || has_no_body())
}

/// How long to wait before another attempt; `None`: no other attempt, the app gets this outcome.
fn retry(core: &Core, request: &Request, ended: &Result<Response, Failure>, backoff: &mut Backoff) -> Option<Duration> {
    if core.is_closed() || core.front.queued() >= core.options.settings.max_queue {
        return None;
    }
    let retry_after = match ended {
        Ok(answer) if RETRIED_STATUSES.contains(&answer.status()) => head_of(answer).retry_after(),
        Err(Failure::Thrown(_)) => None,
        Ok(_) | Err(_) => return None,
    };
    if !is_repeatable(request) {
        return None;
    }
    core.front.retry(backoff, retry_after)
}

async fn nap(core: &Core, wait: Duration, signal: &AppSignal) -> Result<(), Failure> {
    let _nap = core.nap();
    let timer = TimeoutFuture::new(host::timer_milliseconds(wait));
    let mut timer = pin!(timer);
    let unless_closed = poll_fn(|context| {
        if core.is_closed() {
            return Poll::Ready(Err(Failure::Rejected(Error::Closed)));
        }
        core.watch.wake_later(context);
        timer.as_mut().poll(context).map(Ok)
    });
    signal.unless_aborted(unless_closed).await?
}

/// Sends one of the client's own requests, past the throttle.
pub(super) async fn send_own(request: &Request) -> Result<Response, Failure> {
    let promise = host::fetch(request, &RequestInit::new()).map_err(Failure::Thrown)?;
    JsFuture::from(promise).await.map(JsValue::unchecked_into).map_err(Failure::Thrown)
}
