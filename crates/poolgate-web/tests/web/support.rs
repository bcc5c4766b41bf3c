//! A client in a browser that the test controls.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Waker},
    time::Duration,
};

use gloo_net::http::Response;
use js_sys::Array;
use poolgate_web::{Client, Error, State};
use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/tests/web/host.js")]
extern "C" {
    #[derive(Clone, Debug)]
    pub(crate) type World;
    #[wasm_bindgen(constructor)]
    pub(crate) fn new() -> World;
    #[wasm_bindgen(method, getter)]
    pub(crate) fn base(this: &World) -> String;
    #[wasm_bindgen(method, js_name = setConfig)]
    pub(crate) fn set_config(this: &World, config: &str);
    #[wasm_bindgen(method, getter)]
    pub(crate) fn asked(this: &World) -> u32;
    #[wasm_bindgen(method, getter)]
    pub(crate) fn count(this: &World) -> u32;
    #[wasm_bindgen(method)]
    pub(crate) fn path(this: &World, index: u32) -> String;
    #[wasm_bindgen(method)]
    pub(crate) fn aborted(this: &World, index: u32) -> bool;
    #[wasm_bindgen(method)]
    pub(crate) fn answer(this: &World, index: u32, status: u16, headers: &str, body: &str);
    #[wasm_bindgen(method)]
    pub(crate) fn fail(this: &World, index: u32, value: &JsValue);

    #[wasm_bindgen(js_name = fakeEventSource)]
    pub(crate) fn fake_event_source() -> Array;
    #[wasm_bindgen(js_name = restoreEventSource)]
    pub(crate) fn restore_event_source();
    pub(crate) fn speak(source: &JsValue, kind: &str, data: Option<&str>);
    #[wasm_bindgen(js_name = scriptClient)]
    pub(crate) fn script_client() -> JsValue;
    #[wasm_bindgen(js_name = poolgateError)]
    pub(crate) fn poolgate_error(code: &str, retry_after_ms: f64) -> JsValue;
}

pub(crate) const NORMAL: &str = include_str!("../../../../tests/fixtures/config-normal.json");
pub(crate) const OPEN: &str = include_str!("../../../../tests/fixtures/config-open.json");

/// A limit of one request in flight, and of more a second than a test sends.
pub(crate) fn one_at_a_time() -> String {
    changed(NORMAL, r#"{ "enforced": true, "fair_rate_per_second": 1000000, "max_concurrent_requests": 1 }"#)
}

/// One document from two JSON texts.
pub(crate) fn changed(config: &str, changes: &str) -> String {
    let (mut config, changes): (serde_json::Value, serde_json::Value) = (json(config), json(changes));
    for (name, value) in changes.as_object().expect("an object") {
        config[name] = value.clone();
    }
    config.to_string()
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("JSON")
}

/// A client that has heard of this config.
pub(crate) async fn client_with(world: &World, config: &str) -> Client {
    world.set_config(config);
    let client = Client::builder(world.base()).build().expect("an address");
    client.refresh().await.expect("a config");
    // Its own first question has ended too, and the first tokens are there.
    sleep(20).await;
    client
}

pub(crate) fn address(world: &World, path: &str) -> String {
    format!("{}{path}", world.base())
}

/// A request that has begun: it is sent, or it waits.
pub(crate) type Begun = Pin<Box<dyn Future<Output = Result<Response, Error>>>>;

/// Begins a GET.
pub(crate) fn begin(client: &Client, world: &World, path: &str) -> Begun {
    let (client, address) = (client.clone(), address(world, path));
    begun(async move { client.fetch(address).await })
}

/// Polls a request once.
pub(crate) fn begun(request: impl Future<Output = Result<Response, Error>> + 'static) -> Begun {
    let mut request: Begun = Box::pin(request);
    assert!(request.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending(), "nothing has answered");
    request
}

/// In flight, and queued.
pub(crate) fn load(client: &Client) -> (u32, usize) {
    let State { in_flight, queued, .. } = client.state();
    (in_flight, queued)
}

pub(crate) async fn sleep(milliseconds: u64) {
    gloo_timers::future::sleep(Duration::from_millis(milliseconds)).await;
}

/// Waits for something to become true, for three seconds at most.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..600 {
        if condition() {
            return;
        }
        sleep(5).await;
    }
    panic!("not within three seconds: {what}");
}
