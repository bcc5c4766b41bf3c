//! A page with its own client tells the npm package's service worker, so that its requests are throttled only once.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use gloo_timers::future::TimeoutFuture;
use js_sys::{Array, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{EventTarget, MessageChannel};

use crate::host;

/// The message, and its answer.
const OWN_CLIENT: &str = "poolgate own client";
/// Prefix of the worker's caches, which exist from its installation on.
const CACHES: &str = "poolgate ";
/// How long a worker may take to answer.
const PATIENCE_MS: u32 = 1000;

#[wasm_bindgen]
extern "C" {
    type Worker;

    #[wasm_bindgen(method, catch, js_name = postMessage)]
    fn post_message(this: &Worker, message: &str, transfer: &Array) -> Result<(), JsValue>;

    #[wasm_bindgen(catch, js_namespace = caches, js_name = keys)]
    fn cache_names() -> Result<Promise, JsValue>;
}

/// Tells the worker that controls this page. Completes when it has answered, or when it is another package's.
pub(super) async fn announce() {
    let Some(worker) = controller() else { return };
    let Ok(channel) = MessageChannel::new() else { return };
    let port = channel.port1();
    let answered = Promise::new(&mut |resolve, _| port.set_onmessage(Some(&resolve)));
    if worker.post_message(OWN_CLIENT, &Array::of1(&channel.port2())).is_ok() && is_ours().await {
        let mut answered = pin!(JsFuture::from(answered));
        let mut patience = pin!(TimeoutFuture::new(PATIENCE_MS));
        poll_fn(|context| {
            let is_over = answered.as_mut().poll(context).is_ready() || patience.as_mut().poll(context).is_ready();
            if is_over { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
    port.close();
}

/// Where a page's service worker is found.
pub(super) fn container() -> Option<EventTarget> {
    let navigator = host::global("navigator")?;
    // A sandboxed frame has no access.
    let container = Reflect::get(&navigator, &"serviceWorker".into()).ok()?;
    container.is_object().then(|| container.unchecked_into())
}

fn controller() -> Option<Worker> {
    let controller = Reflect::get(container()?.as_ref(), &"controller".into()).ok()?;
    controller.is_object().then(|| controller.unchecked_into())
}

/// Without access to the caches the worker may be ours.
async fn is_ours() -> bool {
    let Ok(names) = cache_names() else { return true };
    match JsFuture::from(names).await {
        Ok(names) => {
            Array::from(&names).iter().any(|name| name.as_string().is_some_and(|name| name.starts_with(CACHES)))
        }
        Err(_) => true,
    }
}
