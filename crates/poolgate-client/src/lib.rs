//! The browser's side: a `fetch` that keeps to what the server's database can take, as WebAssembly. With the shell in
//! `js/` it is the npm package `@poolgate/client`, whose README and `index.d.ts` say how to use it.
//!
//! It makes no decision of its own: which request starts when is up to [`poolgate_throttle`]. This crate drives it in a
//! browser, a worker or Node.
//!
//! # How it works
//!
//! 1. [`Client::fetch`] finds out whether a request counts (`scope`), what it says about its place in the queue
//!    (`call`), and submits it (`fetch`).
//! 2. A request that may start goes to the host's `fetch` with the app's own arguments, and the `Response` back to the
//!    app as it is. One that must wait is checked at once and keeps a copy of its arguments (`snapshot`).
//! 3. When the promise settles, its head tells the throttle how things are (`answer`): the `Poolgate-Config` header, no
//!    contact. Whether a rejection is the gate's, its problem document says, of which a clone is read.
//!    With `retries` or `honourForeignLimits` a call may take several attempts, and wait between them (`attempts`, `nap`).
//! 4. Configs arrive by the event stream, or by asking while there is none (`transport`). `transport/plan.rs` decides
//!    which, without clock or I/O.
//!    Of all clients of a browser only the one that leads does so; the shell (`js/tabs.js`) says who, and with which share
//!    of the limits each of them acts. What is left of the budget outlives the page (`budget`).
//! 5. After each of these steps `Core::pump` does what the throttle says is due, tells the app's listeners, and sets
//!    one timer. A request that starts at once and is answered sets none.
//!
//! # What holds everywhere
//!
//! - Every exported method takes `&self`, and no borrow is held while anything of the app's runs (its fetch, getters,
//!   listeners) or over an await: the app may call the client from within.
//! - No code path panics on what an app or a server sends. The shell lets requests pass should the module fail anyway.
//! - Our own requests go through the same host `fetch` as the app's, past the throttle. gloo-net is not used: it ends
//!   in a trap when a signal is aborted with a reason that is no `Error`, and weighs more than the two requests need.
//!   gloo-timers is not either: Node's timers must not keep a process alive. The config is read member by member
//!   (`document`), because serde through JavaScript values costs 20 KB of compressed code.

mod answer;
mod attempts;
mod budget;
mod call;
mod cleanup;
mod client;
mod clock;
mod document;
mod error;
mod fetch;
mod host;
mod listener;
mod nap;
mod options;
mod rate_limit;
mod scope;
mod snapshot;
mod state;
mod table;
mod timer;
mod transport;

use std::rc::Rc;

use js_sys::Promise;
use poolgate_throttle::Share;
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

    /// Looks for configs itself, on behalf of all clients of this browser: `true`; or leaves that to another one.
    pub fn lead(&self, leads: bool) {
        if leads { self.0.lead() } else { self.0.follow() }
    }

    /// Takes in what another client relayed.
    pub fn hear(&self, news: &JsValue) {
        self.0.hear(news);
    }

    /// Uses `held` of `of` slots from now on, or with 0 for `of` all but `held`, and the tokens that others gave up; gives
    /// those that go to others. `owing`: the shell wants to hear of every request that ends.
    pub fn share(&self, held: u32, of: u32, tokens: f64, owing: bool) -> f64 {
        let share = if of == 0 { Share::AllBut(held) } else { Share::Slots { held, of } };
        self.0.share(share, tokens, owing)
    }

    /// Calls the shell's `demand`.
    pub fn demand(&self) {
        self.0.tell_demand();
    }

    /// The page is left, for good or for the back/forward cache: starts what may outlive it, closes the stream.
    pub fn leave(&self) {
        self.0.start_keepalive();
        self.0.follow();
    }

    /// Rejects what waits, stops timers and streams; `fetch` then passes straight through.
    pub fn close(&self) {
        self.0.close();
    }
}
