//! A server that renders pages has no browser: nothing is asked and nothing is sent.

use std::sync::Arc;

use gloo_net::http::Response;
use poolgate_types::{CleanupReport, ThrottlingConfig};
use wasm_bindgen::JsValue;
use web_sys::Request;

use crate::{Ask, Client, Error, NotAClient, core::Core, foreign::Foreign};

/// Opens an event stream.
pub(crate) type OpenStream = ();

pub(crate) const OPEN_STREAM: OpenStream = ();

pub(crate) fn start(_core: &Arc<Core>) {}

pub(crate) async fn fetch(_core: &Arc<Core>, _request: &Request, _ask: Ask) -> Result<Response, Error> {
    Err(no_browser())
}

pub(crate) async fn ask(_core: &Core) -> Result<ThrottlingConfig, Error> {
    Err(Error::NoConfig { message: NO_BROWSER.into() })
}

pub(crate) async fn cleanup(_core: &Core) -> Result<CleanupReport, Error> {
    Err(no_browser())
}

pub(crate) fn adopt(_client: &JsValue) -> Result<Box<dyn Foreign>, NotAClient> {
    Err(NotAClient)
}

pub(crate) fn install(_client: &Client) {}

pub(crate) fn to_js(_core: &Arc<Core>) -> JsValue {
    JsValue::UNDEFINED
}

const NO_BROWSER: &str = "there is no browser here";

fn no_browser() -> Error {
    Error::Network { message: NO_BROWSER.into() }
}
