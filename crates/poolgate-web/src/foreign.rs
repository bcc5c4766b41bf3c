//! Another client behind a handle.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use gloo_net::http::Response;
use poolgate_types::{CleanupReport, ThrottlingConfig};
use wasm_bindgen::JsValue;
use web_sys::Request;

use crate::{Ask, Error, State, watch::Watch};

/// What a future gives that needs not be sent to another thread.
pub(crate) type Work<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A client that does the work for its handles. It is an object, so that a page that adopts none has no code for it.
pub(crate) trait Foreign: fmt::Debug + Send + Sync {
    fn fetch<'a>(&'a self, request: &'a Request, ask: Ask) -> Work<'a, Result<Response, Error>>;

    /// A call of the page's global `fetch`.
    fn fetch_as_script<'a>(&'a self, input: &'a JsValue, init: &'a JsValue) -> Work<'a, Result<JsValue, JsValue>>;

    fn state(&self) -> State;

    fn watch(&self) -> Arc<Watch>;

    fn refresh(&self) -> Work<'_, Result<ThrottlingConfig, Error>>;

    fn cleanup(&self) -> Work<'_, Result<CleanupReport, Error>>;

    fn close(&self);

    fn to_js(&self) -> JsValue;
}
