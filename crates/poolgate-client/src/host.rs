//! What the crate calls in JavaScript beyond js-sys and web-sys: the shell, and objects that an app passes in. Those
//! may be of any class (a polyfill, another realm), so they are read by the names of their members, never by type.

use js_sys::{Function, Object, Promise};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// The JavaScript shell, `js/client.js`: it owns the event target and the error classes.
    #[derive(Clone, Debug)]
    pub type Shell;
    /// Dispatches an event.
    #[wasm_bindgen(method)]
    pub(crate) fn emit(this: &Shell, kind: &str, detail: &JsValue);
    /// Makes an error of the class that belongs to the code.
    #[wasm_bindgen(method)]
    pub(crate) fn error(this: &Shell, code: &str, message: &str, retry_after_ms: Option<f64>) -> JsValue;
    /// Whether an error is one of those.
    #[wasm_bindgen(method)]
    pub(crate) fn made(this: &Shell, error: &JsValue) -> bool;
    /// Other clients of this browser share its limits: this one follows until it is told to lead.
    #[wasm_bindgen(method, getter)]
    pub(crate) fn shared(this: &Shell) -> JsValue;
    /// Hands what the server said on to the others; `null`: it has no config.
    #[wasm_bindgen(method)]
    pub(crate) fn relay(this: &Shell, news: &JsValue);
    /// How much this client has to do: requests in flight and waiting, the concurrency limit in force for all together
    /// (0: none), requests made since it was last told.
    #[wasm_bindgen(method)]
    pub(crate) fn demand(this: &Shell, in_flight: u32, queued: u32, limit: u32, made: u32);
    /// Tells developers something on the console.
    #[wasm_bindgen(method)]
    pub(crate) fn warn(this: &Shell, message: &str);

    /// The second argument of `fetch`; every getter may be the app's own code.
    pub(crate) type Init;
    #[wasm_bindgen(method, getter, catch)]
    pub(crate) fn poolgate(this: &Init) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter, catch)]
    pub(crate) fn priority(this: &Init) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter, catch)]
    pub(crate) fn signal(this: &Init) -> Result<JsValue, JsValue>;

    /// The `poolgate` member of [`Init`].
    pub(crate) type RequestOptions;
    #[wasm_bindgen(method, getter, catch, js_name = priority)]
    pub(crate) fn own_priority(this: &RequestOptions) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter, catch, js_name = queueTimeoutMs)]
    pub(crate) fn queue_timeout_ms(this: &RequestOptions) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter, catch)]
    pub(crate) fn bypass(this: &RequestOptions) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter, catch)]
    pub(crate) fn retries(this: &RequestOptions) -> Result<JsValue, JsValue>;

    /// What a fetch promise is fulfilled with.
    pub(crate) type Answer;
    #[wasm_bindgen(method, getter, catch)]
    pub(crate) fn status(this: &Answer) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter, catch)]
    pub(crate) fn headers(this: &Answer) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch)]
    pub(crate) fn json(this: &Answer) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch, js_name = clone)]
    pub(crate) fn duplicate(this: &Answer) -> Result<Answer, JsValue>;

    /// An [`Answer`]'s headers.
    pub(crate) type AnswerHeaders;
    #[wasm_bindgen(method, catch)]
    pub(crate) fn get(this: &AnswerHeaders, name: &JsValue) -> Result<JsValue, JsValue>;

    /// `Object.assign`, which runs the app's getters: what they throw must not pass through the module.
    #[wasm_bindgen(js_namespace = Object, js_name = assign, catch)]
    pub(crate) fn assign(target: &Object, source: &JsValue) -> Result<Object, JsValue>;

    /// `ReadableStream`, as the body of a request.
    #[wasm_bindgen(js_name = ReadableStream)]
    pub(crate) type BodyStream;
    #[wasm_bindgen(method, js_class = "ReadableStream", js_name = getReader, catch)]
    pub(crate) fn get_reader(this: &BodyStream) -> Result<BodyReader, JsValue>;
    #[wasm_bindgen(method, js_class = "ReadableStream")]
    pub(crate) fn cancel(this: &BodyStream, reason: &JsValue) -> Promise;

    /// Its reader.
    #[derive(Debug)]
    pub(crate) type BodyReader;
    #[wasm_bindgen(method)]
    pub(crate) fn cancel(this: &BodyReader, reason: &JsValue) -> Promise;
    #[wasm_bindgen(method, js_name = releaseLock)]
    pub(crate) fn release_lock(this: &BodyReader);

    /// `URL`.
    #[wasm_bindgen(js_name = URL)]
    #[derive(Clone, Debug)]
    pub(crate) type Url;
    #[wasm_bindgen(constructor, js_class = "URL", catch)]
    pub(crate) fn new(input: &JsValue, base: &JsValue) -> Result<Url, JsValue>;
    #[wasm_bindgen(method, getter, js_class = "URL")]
    pub(crate) fn origin(this: &Url) -> JsValue;
    #[wasm_bindgen(method, getter, js_class = "URL")]
    pub(crate) fn pathname(this: &Url) -> Text;
    #[wasm_bindgen(method, getter, js_class = "URL")]
    pub(crate) fn href(this: &Url) -> JsValue;
    #[wasm_bindgen(method, getter, js_class = "URL")]
    pub(crate) fn protocol(this: &Url) -> Text;

    /// `RegExp`.
    #[wasm_bindgen(js_name = RegExp)]
    #[derive(Debug)]
    pub(crate) type Pattern;
    #[wasm_bindgen(constructor, js_class = "RegExp")]
    pub(crate) fn new(pattern: &str) -> Pattern;
    #[wasm_bindgen(method, js_class = "RegExp")]
    pub(crate) fn test(this: &Pattern, text: &JsValue) -> bool;

    /// A string that stays in JavaScript.
    pub(crate) type Text;
    #[wasm_bindgen(method, js_name = startsWith)]
    pub(crate) fn starts_with(this: &Text, prefix: &JsValue) -> bool;

    /// `document`, where there is one.
    pub(crate) type Page;
    #[wasm_bindgen(method, getter, js_name = baseURI)]
    pub(crate) fn base_uri(this: &Page) -> JsValue;
    #[wasm_bindgen(method, getter, js_name = visibilityState)]
    pub(crate) fn visibility_state(this: &Page) -> JsValue;

    /// `location`, in pages and workers.
    pub(crate) type Location;
    #[wasm_bindgen(method, getter, js_name = href)]
    pub(crate) fn location_href(this: &Location) -> JsValue;

    /// A function that is called with a number first: `bind` fixes the number without a new Rust closure.
    #[derive(Clone, Debug)]
    pub(crate) type Numbered;
    #[wasm_bindgen(method)]
    pub(crate) fn bind(this: &Numbered, context: &JsValue, number: f64) -> Function;

    /// `Promise`, with handlers that are plain functions.
    pub(crate) type Settling;
    #[wasm_bindgen(method)]
    pub(crate) fn then(this: &Settling, fulfilled: &Function, rejected: &Function) -> Promise;

    /// Handle of a timer: a number in browsers, an object in Node.
    #[derive(Debug)]
    pub(crate) type TimerHandle;
    #[wasm_bindgen(js_name = setTimeout, catch)]
    pub(crate) fn set_timeout(handler: &Function, milliseconds: f64) -> Result<TimerHandle, JsValue>;
    #[wasm_bindgen(js_name = clearTimeout)]
    pub(crate) fn clear_timeout(handle: &TimerHandle);
    #[wasm_bindgen(method, getter, js_name = unref)]
    pub(crate) fn unref_method(this: &TimerHandle) -> JsValue;
    #[wasm_bindgen(method)]
    pub(crate) fn unref(this: &TimerHandle) -> JsValue;
    #[wasm_bindgen(method, js_name = ref)]
    pub(crate) fn ref_(this: &TimerHandle) -> JsValue;

    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    pub(crate) fn performance_now() -> f64;
}

/// Where all tabs of a browser keep what must outlive a page; none in workers, and where it is forbidden.
pub(crate) fn storage() -> Option<web_sys::Storage> {
    Some(global("localStorage")).filter(JsValue::is_object).map(JsValue::unchecked_into)
}

/// A member of the global object, `undefined` where there is none or it may not be read.
pub(crate) fn global(name: &str) -> JsValue {
    js_sys::Reflect::get(&js_sys::global(), &name.into()).unwrap_or_default()
}
