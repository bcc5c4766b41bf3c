//! The client's own requests: for the config, and for a cleanup.

use gloo_net::http::RequestBuilder;
use poolgate_throttle::News;
use poolgate_types::{
    CleanupReport, ThrottlingConfig, routes,
    timing::{ANSWER_TIMEOUT, milliseconds},
};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortSignal, RequestCache, Response};

use super::{
    document,
    failure::Failure,
    send::{head_of, send_own},
};
use crate::{Error, core::Core};

const MALFORMED: &str = "the server's throttling config is malformed and is ignored";

/// Asks for the config now, and takes in the answer. Gives the config in force.
pub(crate) async fn ask(core: &Core) -> Result<ThrottlingConfig, Error> {
    let request = gloo_net::http::Request::get(&core.base.route(routes::THROTTLING_CONFIG));
    // Revalidates the copy in the browser's cache, so that an unchanged config costs a 304.
    let answer = exchange(core, request.cache(RequestCache::NoCache)).await;
    let document = match &answer {
        Ok(answer) if answer.ok() => document_of(answer).await.and_then(document::read::<ThrottlingConfig>),
        _ => None,
    };
    if core.is_closed() {
        return Err(Error::Closed);
    }
    let status = answer.as_ref().map_or(0, Response::status);
    let problem = match (status, document) {
        (200..300, Some(document)) => core.learn_document(document).err().map(|_| MALFORMED),
        (200..300, None) => Some(MALFORMED),
        (304, _) => {
            let at = core.document().map(|document| document.at());
            at.iter().for_each(|at| core.front.hear(&News::Current(*at)));
            at.is_none().then_some("the server sent 304 to a client without a config")
        }
        // A server that once had a config still has one: this answer is a proxy's, as while the app is being replaced.
        (404 | 501, _) if core.document().is_none() => {
            core.learn_absence();
            Some("the server has no throttling config; requests pass through")
        }
        _ => {
            core.front.hear(&News::NoContact);
            Some("the throttling config could not be fetched")
        }
    };
    match (problem, core.document()) {
        (None, Some(document)) => Ok(document),
        (problem, _) => Err(Error::NoConfig { message: problem.unwrap_or("there is no throttling config yet").into() }),
    }
}

/// Asks for a cleanup.
pub(crate) async fn cleanup(core: &Core) -> Result<CleanupReport, Error> {
    let request = gloo_net::http::Request::post(&core.base.route(routes::FORCE_CLEANUP));
    let answer = exchange(core, request).await?;
    if answer.ok() {
        let malformed = || Error::Network { message: "the cleanup's report is malformed".into() };
        let report = document_of(&answer).await.and_then(|report| serde_wasm_bindgen::from_value(report).ok());
        return report.ok_or_else(malformed);
    }
    let retry_after = head_of(&answer).retry_after();
    let code = document_of(&answer).await.and_then(|problem| document::text(&problem, "code"));
    let code = code.unwrap_or_else(|| "cleanup_failed".into());
    Err(Error::CleanupRefused { status: answer.status(), code, retry_after })
}

async fn exchange(core: &Core, request: RequestBuilder) -> Result<Response, Error> {
    let limit = timeout(milliseconds(ANSWER_TIMEOUT)).ok();
    let request = request.credentials(core.options.credentials).abort_signal(limit.as_ref()).build()?;
    send_own(&request.into()).await.map_err(Failure::into)
}

/// What the browser has parsed; `None`: it is no JSON.
pub(super) async fn document_of(answer: &Response) -> Option<JsValue> {
    JsFuture::from(answer.json().ok()?).await.ok()
}

#[wasm_bindgen]
extern "C" {
    /// Hosts without it have a time limit of their own.
    #[wasm_bindgen(catch, js_namespace = AbortSignal)]
    fn timeout(milliseconds: u32) -> Result<AbortSignal, JsValue>;
}
