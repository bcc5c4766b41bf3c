//! The handle that an app has.

use std::{fmt, sync::Arc};

use gloo_net::http::Response;
use poolgate_types::{CleanupReport, ThrottlingConfig};
use wasm_bindgen::JsValue;

use crate::{
    Admission, Ask, Builder, Changes, Error, IntoRequest, State, base::Base, browser, core::Core, foreign::Foreign,
};

/// A client of one server. Clones are handles to the same one, which ends when the last is dropped or with
/// [`close`](Self::close). It is `Send + Sync`: JavaScript values stay where they are.
#[derive(Clone)]
pub struct Client(Arc<Handle>);

pub(crate) enum Handle {
    Own(Arc<Core>),
    /// The npm package's client does the work.
    Adopted(Box<dyn Foreign>),
}

impl Client {
    /// A client for the server at `base`, an absolute address; an empty one means the page's origin.
    pub fn builder(base: impl Into<String>) -> Builder {
        Builder::new(base)
    }

    /// Uses a client that the page's JavaScript has made with `createClient` of `@poolgate/client`. Both then have one budget
    /// and one queue, with all tabs of the browser.
    ///
    /// # Errors
    ///
    /// [`NotAClient`] if the value is none.
    pub fn adopt(client: &JsValue) -> Result<Self, NotAClient> {
        browser::adopt(client).map(|adopted| Self(Arc::new(Handle::Adopted(adopted))))
    }

    pub(crate) fn start(base: Base, options: Builder) -> Self {
        let core = Arc::new(Core::new(base, options));
        browser::start(&core);
        Self(Arc::new(Handle::Own(core)))
    }

    /// Sends a request when its time has come. Dropping the future leaves the queue, or aborts the request.
    ///
    /// The request may have an abort signal; aborting has the same effect.
    ///
    /// # Errors
    ///
    /// [`Error`] says why there is no answer.
    pub async fn fetch(&self, request: impl IntoRequest) -> Result<Response, Error> {
        self.fetch_with(Ask::default(), request).await
    }

    /// The same for a request that is more or less important than others, or that has other options.
    ///
    /// # Errors
    ///
    /// [`Error`] says why there is no answer.
    pub async fn fetch_with(&self, ask: impl Into<Ask>, request: impl IntoRequest) -> Result<Response, Error> {
        let (ask, request) = (ask.into(), request.into_request()?);
        match &*self.0 {
            Handle::Own(core) => browser::fetch(core, &request, ask).await,
            Handle::Adopted(adopted) => adopted.fetch(&request, ask).await,
        }
    }

    /// Waits until a request may be sent by other means: reqwest, a server function, a socket. Dropping the future leaves
    /// the queue. It is `Send`.
    ///
    /// # Errors
    ///
    /// [`Error`] says why the request may not be sent; [`Error::Unsupported`] if the client is [adopted](Self::adopt).
    pub fn admit(&self, ask: impl Into<Ask>) -> Admission {
        match &*self.0 {
            Handle::Own(core) => Admission::new(core, ask.into()),
            Handle::Adopted(_) => Admission::refused(Error::Unsupported { what: "admission without `fetch`" }),
        }
    }

    /// What is in force now.
    pub fn state(&self) -> State {
        match &*self.0 {
            Handle::Own(core) => core.state(),
            Handle::Adopted(adopted) => adopted.state(),
        }
    }

    /// The states from now on: the present one, then one after each change of level, breaker, queue, config, staleness or
    /// transport.
    pub fn changes(&self) -> Changes {
        let watch = match &*self.0 {
            Handle::Own(core) => Arc::clone(&core.watch),
            Handle::Adopted(adopted) => adopted.watch(),
        };
        Changes::new(self.clone(), watch)
    }

    /// Asks the server for its config now. Gives the config in force.
    ///
    /// # Errors
    ///
    /// [`Error::NoConfig`] if there is none, [`Error::Closed`] if the client is closed.
    pub async fn refresh(&self) -> Result<ThrottlingConfig, Error> {
        match &*self.0 {
            Handle::Own(core) => browser::ask(core).await,
            Handle::Adopted(adopted) => adopted.refresh().await,
        }
    }

    /// Asks the server to clean its connection pool up. Gives its report.
    ///
    /// # Errors
    ///
    /// [`Error::CleanupRefused`] if the server refuses, [`Error::Network`] if it was not reached.
    pub async fn cleanup(&self) -> Result<CleanupReport, Error> {
        match &*self.0 {
            Handle::Own(core) => browser::cleanup(core).await,
            Handle::Adopted(adopted) => adopted.cleanup().await,
        }
    }

    /// Rejects the requests that wait, and stops asking for configs. Later requests pass.
    pub fn close(&self) {
        match &*self.0 {
            Handle::Own(core) => core.close(),
            Handle::Adopted(adopted) => adopted.close(),
        }
    }

    /// Puts the client into the place of the page's global `fetch`, so that reqwest, server functions and JavaScript are
    /// throttled too. A request that the client rejects gets status 503 with `Retry-After` and the gate's problem document,
    /// which such code understands. The last client that was installed counts, and stays open until it is closed. Off the
    /// browser nothing happens.
    pub fn install(&self) {
        browser::install(self);
    }

    /// The client for JavaScript: an `EventTarget` with `state`, `refresh` and the npm package's events, as
    /// `<poolgate-status>` wants it for its `source`. An [adopted](Self::adopt) client gives the npm package's. It does not
    /// keep the client open. Undefined off the browser.
    pub fn to_js(&self) -> JsValue {
        match &*self.0 {
            Handle::Own(core) => browser::to_js(core),
            Handle::Adopted(adopted) => adopted.to_js(),
        }
    }
}

#[cfg(target_arch = "wasm32")]
impl Client {
    pub(crate) fn handle(&self) -> &Handle {
        &self.0
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // An adopted client is its maker's.
        if let Self::Own(core) = self {
            core.close();
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("state", &self.state()).finish_non_exhaustive()
    }
}

/// The value has not what a client of `@poolgate/client` has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no client of @poolgate/client: `createClient()` gives one")]
pub struct NotAClient;
