//! A client that the page's JavaScript has made: `createClient` of `@poolgate/client`.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    sync::Arc,
    time::Duration,
};

use gloo_net::http;
use js_sys::{Object, Promise, Reflect};
use poolgate_throttle::Priority;
use poolgate_types::{CleanupReport, ThrottlingConfig};
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{EventTarget, Request, Response};

use super::{abort::AppSignal, listener::Listener};
use crate::{
    Ask, Error, NotAClient, State,
    foreign::{Foreign, Work},
    host::{of_milliseconds, text_of},
    watch::Watch,
};

/// The package's limit.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
const MEMBERS: [&str; 5] = ["fetch", "refresh", "cleanup", "close", "addEventListener"];
const EVENTS: [&str; 5] = ["config", "levelchange", "breakerchange", "queuechange", "syncchange"];

#[wasm_bindgen]
extern "C" {
    #[derive(Clone, Debug)]
    #[wasm_bindgen(extends = EventTarget)]
    type Script;

    #[wasm_bindgen(method, getter, catch)]
    fn state(this: &Script) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn fetch(this: &Script, input: &JsValue, init: &JsValue) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn refresh(this: &Script) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn cleanup(this: &Script) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn close(this: &Script) -> Result<(), JsValue>;
}

thread_local! {
    /// The clients of this page, so that a handle is a number and can be sent anywhere.
    static SCRIPTS: RefCell<BTreeMap<u64, (Script, Vec<Listener>)>> = const { RefCell::new(BTreeMap::new()) };
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

/// Uses the client that a value is.
pub(crate) fn adopt(client: &JsValue) -> Result<Box<dyn Foreign>, NotAClient> {
    let is_function = |name: &str| Reflect::get(client, &name.into()).is_ok_and(|member| member.is_function());
    let is_client = client.is_object() && MEMBERS.iter().all(|name| is_function(name));
    let script: Script = client.clone().unchecked_into();
    if !is_client || script.state().is_err() {
        return Err(NotAClient);
    }
    let watch = Arc::<Watch>::default();
    let listen = |kind| {
        let watch = Arc::clone(&watch);
        Listener::new(&script, kind, move |_| watch.tell())
    };
    let listeners = EVENTS.map(listen).into();
    let key = NEXT.replace(NEXT.get() + 1);
    SCRIPTS.with_borrow_mut(|scripts| scripts.insert(key, (script, listeners)));
    Ok(Box::new(Adopted { key, watch }))
}

/// A client that the page's JavaScript has made. In another worker than the one that adopted it, it is closed.
#[derive(Debug)]
struct Adopted {
    key: u64,
    watch: Arc<Watch>,
}

impl Adopted {
    fn script(&self) -> Option<Script> {
        SCRIPTS.with_borrow(|scripts| scripts.get(&self.key).map(|(script, _)| script.clone()))
    }
}

impl Foreign for Adopted {
    fn fetch<'a>(&'a self, request: &'a Request, ask: Ask) -> Work<'a, Result<http::Response, Error>> {
        Box::pin(async move {
            let script = self.script().ok_or(Error::Closed)?;
            let failed = |value| error_of(&value);
            let signal = AppSignal::of(request);
            let exchange = signal.send_by(request, |init| {
                Reflect::set(init, &"poolgate".into(), options_of(ask)?.as_ref())?;
                script.fetch(request, init)
            });
            let ended = exchange.map_err(failed)?.await;
            if ended.is_err() {
                signal.check()?;
            }
            Ok(ended.map_err(failed)?.unchecked_into::<Response>().into())
        })
    }

    fn fetch_as_script<'a>(&'a self, input: &'a JsValue, init: &'a JsValue) -> Work<'a, Result<JsValue, JsValue>> {
        Box::pin(async move {
            let script = self.script().ok_or_else(|| js_sys::TypeError::new("the client is closed"))?;
            JsFuture::from(script.fetch(input, init)?).await
        })
    }

    fn state(&self) -> State {
        let state = self.script().and_then(|script| script.state().ok());
        // What a newer package says in words that this crate does not know is no state.
        state.and_then(|state| serde_wasm_bindgen::from_value(state).ok()).unwrap_or_default()
    }

    fn watch(&self) -> Arc<Watch> {
        Arc::clone(&self.watch)
    }

    fn refresh(&self) -> Work<'_, Result<ThrottlingConfig, Error>> {
        Box::pin(async {
            let promise = self.script().ok_or(Error::Closed)?.refresh();
            document_of(promise).await.map_err(|value| match error_of(&value) {
                Error::Network { message } => Error::NoConfig { message },
                error => error,
            })
        })
    }

    fn cleanup(&self) -> Work<'_, Result<CleanupReport, Error>> {
        Box::pin(async {
            let promise = self.script().ok_or(Error::Closed)?.cleanup();
            document_of(promise).await.map_err(|value| error_of(&value))
        })
    }

    fn close(&self) {
        if let Some(script) = self.script() {
            // It throws nothing.
            let _ = script.close();
        }
        self.watch.end();
    }

    fn to_js(&self) -> JsValue {
        self.script().map_or(JsValue::UNDEFINED, Into::into)
    }
}

impl Drop for Adopted {
    fn drop(&mut self) {
        SCRIPTS.with_borrow_mut(|scripts| scripts.remove(&self.key));
    }
}

/// The package's options of one request.
fn options_of(ask: Ask) -> Result<Object, JsValue> {
    let options = Object::new();
    let set = |name: &str, value: JsValue| Reflect::set(&options, &name.into(), &value);
    let priority = match ask.priority {
        Priority::Low => "low",
        Priority::Normal => "normal",
        Priority::High => "high",
        Priority::Critical => "critical",
    };
    set("priority", priority.into())?;
    set("bypass", ask.bypass.into())?;
    if let Some(timeout) = ask.queue_timeout {
        set("queueTimeoutMs", (timeout.min(LONGEST_WAIT).as_millis() as u32).into())?;
    }
    if let Some(retries) = ask.retries {
        set("retries", retries.min(5).into())?;
    }
    Ok(options)
}

async fn document_of<T: DeserializeOwned>(promise: Result<Promise, JsValue>) -> Result<T, JsValue> {
    let value = JsFuture::from(promise?).await?;
    Ok(serde_wasm_bindgen::from_value(value)?)
}

/// What the package rejects with: an error of its own has a code.
pub(super) fn error_of(value: &JsValue) -> Error {
    let member = |name: &str| Reflect::get(value, &name.into()).ok();
    let text = |name: &str| member(name)?.as_string();
    let retry_after = member("retryAfterMs").and_then(|wait| wait.as_f64()).map(of_milliseconds);
    let rejection = text("code").and_then(|code| Error::of_code(&code, retry_after));
    rejection.unwrap_or_else(|| {
        let message = text_of(value);
        match text("name").as_deref() {
            Some("AbortError") => Error::Aborted { reason: message },
            _ => Error::Network { message },
        }
    })
}
