//! A page in Rust: it gets JSON with gloo-net, and with the feature `poolgate` through a Poolgate client.

use gloo_net::http::{Request, Response};
use wasm_bindgen::prelude::*;

#[cfg(feature = "poolgate")]
thread_local! {
    static CLIENT: poolgate_web::Client = poolgate_web::Client::builder("").build().expect("the page has an origin");
}

#[cfg(feature = "poolgate")]
async fn send(request: Request) -> Result<Response, JsError> {
    Ok(CLIENT.with(Clone::clone).fetch(request).await?)
}

#[cfg(not(feature = "poolgate"))]
async fn send(request: Request) -> Result<Response, JsError> {
    Ok(request.send().await?)
}

/// Gets a document; tells its status and one member, after a moment.
#[wasm_bindgen]
pub async fn get(url: String) -> Result<String, JsError> {
    let answer = send(Request::get(&url).build()?).await?;
    gloo_timers::future::TimeoutFuture::new(1).await;
    let status = answer.status();
    let document: serde_json::Value = answer.json().await?;
    Ok(format!("{status} {}", document["code"]))
}

/// Posts, as a server function does.
#[wasm_bindgen]
pub async fn post(url: String) -> Result<u16, JsError> {
    Ok(send(Request::post(&url).body("{}")?).await?.status())
}

/// Sends some requests one after the other. Gives the microseconds for each.
#[wasm_bindgen]
pub async fn microseconds(url: String, count: u32) -> Result<f64, JsError> {
    let begin = now();
    for _ in 0..count {
        send(Request::get(&url).build()?).await?;
    }
    Ok((now() - begin) * 1000.0 / f64::from(count))
}

/// The status of a GET by reqwest.
#[cfg(feature = "reqwest")]
#[wasm_bindgen]
pub async fn get_by_reqwest(url: String) -> Result<u16, JsError> {
    Ok(reqwest::get(url).await?.status().as_u16())
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance)]
    fn now() -> f64;
}
