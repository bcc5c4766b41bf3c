//! A client in a host that the test controls.

use std::time::Duration;

use js_sys::{Array, Object, Promise, Reflect};
use poolgate_client::{Client, Shell};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

#[wasm_bindgen(module = "/js/errors.js")]
extern "C" {
    #[wasm_bindgen(js_name = isPoolgateError)]
    pub(crate) fn is_poolgate_error(value: &JsValue) -> bool;
}

#[wasm_bindgen(module = "/tests/web/host.js")]
extern "C" {
    #[derive(Clone, Debug)]
    pub(crate) type World;
    #[wasm_bindgen(constructor)]
    pub(crate) fn new() -> World;
    #[wasm_bindgen(method, getter)]
    pub(crate) fn shell(this: &World) -> Shell;
    #[wasm_bindgen(method, getter)]
    pub(crate) fn fetch(this: &World) -> JsValue;
    /// What the config route answers: a document, or a status.
    #[wasm_bindgen(method, setter)]
    pub(crate) fn set_config(this: &World, config: &JsValue);
    /// How often the config route was asked.
    #[wasm_bindgen(method, getter)]
    pub(crate) fn asked(this: &World) -> u32;
    /// What the host's fetch throws from now on.
    #[wasm_bindgen(method, setter)]
    pub(crate) fn set_throws(this: &World, error: &JsValue);
    #[wasm_bindgen(method, setter, js_name = onEvent)]
    pub(crate) fn set_on_event(this: &World, listener: &JsValue);
    #[wasm_bindgen(method, getter)]
    pub(crate) fn warnings(this: &World) -> Array;
    /// How many of the app's requests reached the host.
    #[wasm_bindgen(method, getter)]
    pub(crate) fn count(this: &World) -> u32;
    #[wasm_bindgen(method)]
    pub(crate) fn input(this: &World, index: u32) -> JsValue;
    #[wasm_bindgen(method)]
    pub(crate) fn init(this: &World, index: u32) -> JsValue;
    #[wasm_bindgen(method, js_name = initOrEmpty)]
    pub(crate) fn init_or_empty(this: &World, index: u32) -> JsValue;
    #[wasm_bindgen(method)]
    pub(crate) fn answer(this: &World, index: u32, answer: &JsValue);
    #[wasm_bindgen(method)]
    pub(crate) fn fail(this: &World, index: u32, error: &JsValue);
    /// Details of all events of a type, as JSON.
    #[wasm_bindgen(method)]
    pub(crate) fn details(this: &World, kind: &str) -> String;

    pub(crate) fn response(status: u16, headers: &str) -> JsValue;
    #[wasm_bindgen(js_name = responseWith)]
    pub(crate) fn response_with(body: &str, status: u16, headers: &str) -> JsValue;
    #[wasm_bindgen(js_name = oddRejection)]
    pub(crate) fn odd_rejection() -> JsValue;
    #[wasm_bindgen(js_name = countingSignal)]
    pub(crate) fn counting_signal(controller: &JsValue) -> JsValue;
    #[wasm_bindgen(js_name = fakeEventSource)]
    pub(crate) fn fake_event_source() -> Array;
    pub(crate) fn speak(source: &JsValue, kind: &str, data: Option<&str>);
}

pub(crate) const NORMAL: &str = include_str!("../../../../tests/fixtures/config-normal.json");
pub(crate) const MODERATE: &str = include_str!("../../../../tests/fixtures/config-moderate.json");
pub(crate) const OPEN: &str = include_str!("../../../../tests/fixtures/config-open.json");
pub(crate) const MALFORMED: &str = include_str!("../../../../tests/fixtures/config-malformed.json");
pub(crate) const HEADERS: &str = include_str!("../../../../tests/fixtures/headers.json");

/// A polling client for the test page's own origin that has heard of a config.
pub(crate) async fn client_with(world: &World, config: &str, changes: &str, options: &str) -> Client {
    world.set_config(&merged(config, changes));
    let client = client(world, options);
    settled(client.refresh()).await.expect("the config is fine");
    client
}

/// A polling client for the test page's own origin.
pub(crate) fn client(world: &World, options: &str) -> Client {
    let given = merged(r#"{ "transport": "poll", "autoCleanup": false }"#, options);
    set(&given, "fetch", &world.fetch());
    Client::new(&given, world.shell()).expect("the options are fine")
}

/// One object from two JSON texts.
pub(crate) fn merged(base: &str, changes: &str) -> JsValue {
    let (base, changes) = (json(base), json(changes));
    Object::assign(base.unchecked_ref::<Object>(), changes.unchecked_ref()).into()
}

pub(crate) fn json(text: &str) -> JsValue {
    js_sys::JSON::parse(text).expect("the test's JSON is fine")
}

pub(crate) fn get(object: &JsValue, name: &str) -> JsValue {
    Reflect::get(object, &name.into()).expect("an object")
}

pub(crate) fn set(object: &JsValue, name: &str, value: &JsValue) {
    Reflect::set(object, &name.into(), value).expect("an object");
}

pub(crate) fn text(object: &JsValue, name: &str) -> String {
    get(object, name).as_string().unwrap_or_default()
}

/// The number of requests that wait, and of those on their way.
pub(crate) fn load(client: &Client) -> (f64, f64) {
    let state = client.state();
    (get(&state, "queued").as_f64().unwrap_or(-1.0), get(&state, "inFlight").as_f64().unwrap_or(-1.0))
}

/// A fetch of the app's.
pub(crate) fn fetch(client: &Client, url: &str, init: &str) -> Promise {
    let init = if init.is_empty() { JsValue::UNDEFINED } else { json(init) };
    client.fetch(url.into(), init)
}

pub(crate) async fn settled(promise: Promise) -> Result<JsValue, JsValue> {
    JsFuture::from(promise).await
}

pub(crate) async fn sleep(milliseconds: u64) {
    gloo_timers::future::sleep(Duration::from_millis(milliseconds)).await;
}

/// Waits for something to become true, for two seconds at most.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..400 {
        if condition() {
            return;
        }
        sleep(5).await;
    }
    panic!("not within two seconds: {what}");
}
