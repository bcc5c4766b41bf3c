//! `fetch` with limits, for Rust apps in the browser.
//!
//! A [`Client`] follows the config of one Poolgate server: it polls the config route, reads the header of each response, and
//! if you like it listens to the event stream. It decides with the same throttle as the npm package `@poolgate/client` when a
//! request may start. It delays requests above the rate, queues those above the concurrency limit, and rejects them while the
//! circuit breaker is open. In a healthy system every request starts at once.
//!
//! ```no_run
//! use gloo_net::http::Request;
//! use poolgate_web::{Client, Error};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder("https://api.example.com").build()?;
//!
//! match client.fetch(Request::get("https://api.example.com/orders")).await {
//!     Ok(response) => println!("{}", response.text().await?),
//!     Err(Error::CircuitOpen { retry_after }) => println!("closed for now, back in {retry_after:?}"),
//!     Err(error) => return Err(error.into()),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Requests and responses are those of gloo-net. Clones of a client are handles to the same one; put it into your
//! framework's context. It depends on no framework.
//!
//! # Requests that something else sends
//!
//! [`Client::admit`] waits for the right to send one request, and gives a [`Ticket`]. The client learns from how it ends:
//!
//! ```no_run
//! # use poolgate_web::{Client, Error, Priority};
//! # struct Answer { status: u16 }
//! # async fn send() -> Answer { Answer { status: 200 } }
//! # async fn run(client: Client) -> Result<(), Error> {
//! let ticket = client.admit(Priority::Critical).await?;
//! let answer = send().await; // dropped here, the ticket is given back unused
//! ticket.finish(answer.status, |_header| None::<&str>, b"");
//! # Ok(())
//! # }
//! ```
//!
//! Or [install](Client::install) the client: then the page's global `fetch` goes through it, so that reqwest, server
//! functions and JavaScript are throttled without a change.
//!
//! # What the user sees
//!
//! [`Client::changes`] is a stream of [`State`]s for a signal of any framework. [`Client::to_js`] is a source for the
//! `<poolgate-status>` element.
//!
//! # With JavaScript on the same page
//!
//! A page that has the npm package's client hands it over with [`Client::adopt`]. Both then share one budget, with all tabs of
//! the browser. Without it each tab is a client of its own. A Poolgate service worker leaves a page's requests alone once the
//! page has a client.
//!
//! # Off the browser
//!
//! The crate compiles for servers that render pages. There [`Client::admit`] gives a ticket at once, and
//! [`Client::fetch`] is an error, because gloo-net has no requests there.

#![cfg_attr(not(target_arch = "wasm32"), expect(dead_code, reason = "off the browser nothing is asked or sent"))]

mod ask;
mod base;
mod browser;
mod budget;
mod builder;
mod client;
mod core;
mod error;
mod foreign;
mod host;
mod request;
mod state;
mod ticket;
mod watch;

pub use gloo_net;
pub use poolgate_front::transport::Mode;
pub use poolgate_throttle::{Order, Outcome, Priority};
pub use poolgate_types::{CircuitState, CleanupReport, Health, Level, ThrottlingConfig};

pub use self::{
    ask::Ask,
    builder::{Builder, InvalidOption},
    client::{Client, NotAClient},
    error::Error,
    request::IntoRequest,
    state::{Eta, State, Transport},
    ticket::{Admission, Ticket},
    watch::Changes,
};
