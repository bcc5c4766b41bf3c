//! Asking: our own requests, through the same `fetch` as the app's but past the throttle.

use std::rc::Rc;

use js_sys::{Object, Promise, Reflect};
use poolgate_throttle::News;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::{
    answer,
    client::Core,
    document::Document,
    error,
    host::{self, Answer},
};

/// How long the server may take to answer.
const TIMEOUT_MS: u32 = 10_000;

const MALFORMED: &str = "the server's throttling config is malformed and is ignored";

/// Asks for the config and takes in whatever comes of it. `Err`: no config arrived, as an error for the app.
pub(crate) async fn fetch_config(core: &Rc<Core>) -> Result<JsValue, JsValue> {
    // Revalidates what the browser's cache has, so that an unchanged config costs a 304.
    let answer = send(core, core.transport.config_url(), "cache", "no-cache").await;
    let read = match &answer {
        Ok(answer) => read(answer).await,
        Err(_) => Read::Failed,
    };
    if core.closed.get() {
        return Err(error::error(&core.shell, "client_closed", "the client was closed", None));
    }
    let outcome = match read {
        Read::Document(document) => {
            core.relay(&document.raw);
            if core.learn_document(*document) { Ok(()) } else { Err(MALFORMED) }
        }
        Read::Malformed => Err(MALFORMED),
        Read::NotModified => match core.document() {
            Some(document) => {
                core.relay(&document.raw);
                core.learn(&News::Current(document.config.at()));
                Ok(())
            }
            None => Err("the server sent 304 to a client without a config"),
        },
        Read::Absent => {
            core.relay(&JsValue::NULL);
            core.transport.close();
            core.learn(&News::NotFound);
            Err("the server has no throttling config; requests pass through")
        }
        Read::Failed => {
            core.learn(&News::NoContact);
            Err("the throttling config could not be fetched")
        }
    };
    core.pump();
    core.announce_transport();
    let unavailable = |message| error::error(&core.shell, "config_unavailable", message, None);
    outcome.map_err(unavailable)?;
    core.document().map(|document| document.raw).ok_or_else(|| unavailable("there is no throttling config yet"))
}

/// Sends a request of ours; `name` and `value` are the one member of `init` that is special about it.
pub(crate) async fn send(core: &Core, url: &str, name: &str, value: &str) -> Result<JsValue, JsValue> {
    let init = Object::new();
    Reflect::set(&init, &name.into(), &value.into())?;
    // Where the host has no such signal, its own time limit has to do.
    if host::global("AbortSignal").is_function()
        && let Ok(signal) = deadline()
    {
        Reflect::set(&init, &"signal".into(), &signal)?;
    }
    let promise = core.host_fetch.call2(&JsValue::UNDEFINED, &url.into(), &init)?;
    JsFuture::from(Promise::resolve(&promise)).await
}

enum Read {
    Document(Box<Document>),
    NotModified,
    Absent,
    Malformed,
    Failed,
}

async fn read(answer: &JsValue) -> Read {
    if !answer.is_object() {
        return Read::Failed;
    }
    let answer: &Answer = answer.unchecked_ref();
    match answer::status(answer) {
        200..=299 => {}
        304 => return Read::NotModified,
        404 | 501 => return Read::Absent,
        _ => return Read::Failed,
    }
    let Ok(body) = answer::json(answer) else { return Read::Failed };
    let Ok(body) = JsFuture::from(body).await else { return Read::Malformed };
    match Document::read(&body) {
        Some(document) => Read::Document(Box::new(document)),
        None => Read::Malformed,
    }
}

fn deadline() -> Result<JsValue, JsValue> {
    #[wasm_bindgen]
    extern "C" {
        #[wasm_bindgen(js_namespace = AbortSignal, js_name = timeout, catch)]
        fn abort_signal_timeout(milliseconds: u32) -> Result<JsValue, JsValue>;
    }
    abort_signal_timeout(TIMEOUT_MS)
}
