//! The client in the place of the page's global `fetch`.

use std::{cell::RefCell, time::Duration};

use js_sys::{JSON, Object, Promise, Reflect};
use poolgate_throttle::Priority;
use poolgate_types::{Problem, codes};
use serde::Deserialize;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, future_to_promise};
use web_sys::{Headers, Request, RequestInit, Response, ResponseInit};

use super::{adopted::error_of, failure::Failure, send::send, source::value_of};
use crate::{
    Ask, Client, Error,
    client::Handle,
    host::{self, of_milliseconds},
};

const TITLE: &str = "Service Unavailable";

thread_local! {
    static INSTALLED: RefCell<Option<Client>> = const { RefCell::new(None) };
}

#[wasm_bindgen]
extern "C" {
    // As `fetch` reads its arguments.
    #[wasm_bindgen(js_name = Request)]
    type Read;

    #[wasm_bindgen(catch, constructor, js_class = "Request")]
    fn new(input: &JsValue, init: &JsValue) -> Result<Read, JsValue>;

    #[wasm_bindgen(method, getter)]
    fn url(this: &Read) -> String;
}

/// Has the page's `fetch` go through this client from now on.
pub(crate) fn install(client: &Client) {
    if INSTALLED.replace(Some(client.clone())).is_some() {
        return;
    }
    let fetch =
        Closure::<dyn Fn(JsValue, JsValue) -> Promise>::new(|input, init| future_to_promise(fetch(input, init)));
    host::replace_fetch(fetch.as_ref());
    // As long as the page.
    fetch.forget();
}

async fn fetch(input: JsValue, init: JsValue) -> Result<JsValue, JsValue> {
    let Some(client) = INSTALLED.with_borrow(Clone::clone) else { return Err(JsValue::UNDEFINED) };
    let core = match client.handle() {
        Handle::Own(core) => core,
        Handle::Adopted(adopted) => {
            return match adopted.fetch_as_script(&input, &init).await {
                Ok(answer) => Ok(answer),
                Err(value) => match error_of(&value) {
                    error if error.code().is_some() => answer_for(&error, &Read::new(&input, &init)?.url()),
                    _ => Err(value),
                },
            };
        }
    };
    let request: Request = Read::new(&input, &init)?.unchecked_into();
    if core.is_closed() || !core.covers(&request.url()) {
        return JsFuture::from(host::fetch(&request, &RequestInit::new())?).await;
    }
    match send(core, &request, ask_of(&init)?).await {
        Ok(answer) => Ok(answer.into()),
        Err(Failure::Rejected(error)) => answer_for(&error, &request.url()),
        Err(Failure::Aborted(value) | Failure::Thrown(value)) => Err(value),
    }
}

/// The rejection as a response, with the gate's problem document.
fn answer_for(error: &Error, address: &str) -> Result<JsValue, JsValue> {
    let code = match error {
        Error::CircuitOpen { .. } => codes::DATABASE_UNAVAILABLE,
        error => error.code().unwrap_or_default(),
    };
    let problem = Problem {
        kind: Problem::TEMPORARY_REDUCED_CAPACITY.into(),
        title: TITLE.into(),
        status: 503,
        detail: error.to_string(),
        code: code.into(),
    };
    let seconds = (error.retry_after().unwrap_or_default().as_millis() as u64).div_ceil(1000).max(1);
    let headers = Headers::new()?;
    headers.set("content-type", Problem::CONTENT_TYPE)?;
    headers.set("retry-after", &seconds.to_string())?;
    let init = ResponseInit::new();
    init.set_status(problem.status);
    init.set_status_text(TITLE);
    init.set_headers(&headers);
    let answer =
        Response::new_with_opt_str_and_init(Some(&String::from(JSON::stringify(&value_of(&problem))?)), &init)?;
    // A response that a script has made has no address, and reqwest traps on that.
    let url = Object::new();
    Reflect::set(&url, &"value".into(), &address.into())?;
    Reflect::define_property(&answer, &"url".into(), &url)?;
    Ok(answer.into())
}

/// The members of `init` that the throttle reads; as in the npm package, `poolgate.priority` goes before the standard one.
#[derive(Deserialize)]
struct Init {
    priority: Option<String>,
    poolgate: Option<Options>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    priority: Option<String>,
    queue_timeout_ms: Option<f64>,
    #[serde(default)]
    bypass: bool,
    retries: Option<u32>,
}

/// What a caller of `fetch` asks for.
fn ask_of(init: &JsValue) -> Result<Ask, JsValue> {
    if !init.is_object() {
        return Ok(Ask::default());
    }
    let wrong = |error: serde_wasm_bindgen::Error| js_sys::TypeError::new(&format!("poolgate: {error}"));
    let Init { priority, poolgate } = serde_wasm_bindgen::from_value(init.clone()).map_err(wrong)?;
    let options = poolgate.unwrap_or_default();
    Ok(Ask {
        priority: match options.priority.or(priority).as_deref() {
            Some("critical") => Priority::Critical,
            Some("high") => Priority::High,
            Some("low") => Priority::Low,
            _ => Priority::Normal,
        },
        queue_timeout: options.queue_timeout_ms.map(of_milliseconds).map(|time| time.min(Duration::from_secs(600))),
        bypass: options.bypass,
        retries: options.retries.map(|retries| retries.min(5)),
    })
}
