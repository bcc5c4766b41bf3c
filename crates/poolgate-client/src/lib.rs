//! x
mod answer;
mod call;
mod cleanup;
mod client;
mod clock;
mod document;
mod error;
mod fetch;
mod host;
mod listener;
mod options;
mod scope;
mod snapshot;
mod state;
mod table;
mod timer;
mod transport;

use std::rc::Rc;

use js_sys::Promise;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

pub use self::host::Shell;
use self::{client::Core, options::Options};

/// One client. The shell wraps it; every method takes `&self`, so that no call finds another one's borrow.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Client(Rc<Core>);

#[wasm_bindgen]
impl Client {
    /// Starts a client. Throws a `TypeError` that names the option that is wrong.
    #[wasm_bindgen(constructor)]
    pub fn new(options: &JsValue, shell: Shell) -> Result<Client, JsValue> {
        let options = Options::read(options, &shell)?;
        Ok(Self(Core::start(options, shell)))
    }

    /// `fetch` with limits.
    pub fn fetch(&self, input: JsValue, init: JsValue) -> Promise {
        self.0.fetch(input, init)
    }

    /// What the client does at the moment: `ClientState` in `js/index.d.ts`.
    pub fn state(&self) -> JsValue {
        self.0.state()
    }

    /// Asks the server for its config now. Fulfilled with the config in force.
    pub fn refresh(&self) -> Promise {
        let core = Rc::clone(&self.0);
        future_to_promise(async move { transport::fetch_config(&core).await })
    }

    /// Asks the server to clean its pool up. Fulfilled with its report.
    pub fn cleanup(&self) -> Promise {
        future_to_promise(cleanup::cleanup(Rc::clone(&self.0)))
    }

    /// Rejects what waits, stops timers and streams; `fetch` then passes straight through.
    pub fn close(&self) {
        self.0.close();
    }
}
