//! Poolgate in front of an app in any language: the gate, the config header and the health routes, and behind them a proxy
//! that leaves the app's traffic as it is.
//!
//! A request goes through these steps:
//!
//! 1. Paths below `gateway.prefix` are Poolgate's own. Everything else is the app's, and none of the layers around
//!    Poolgate's routes touches it.
//! 2. What another server could understand in another way is refused (`refuse`): two hosts, two lengths, `CONNECT`.
//! 3. [`Gate::admit`](poolgate_server::gate::Gate::admit) reads a small body and waits for a permit.
//! 4. The head is written anew (`forward`), and a task of its own sends it to the app and reads the answer (`exchange`).
//! 5. The answer's bytes go through a bounded buffer (`buffer`) to the client. The permit goes back with the last byte that
//!    the app gives, however slow the client reads, and stays while the app works for a client that has left.
//!
//! Event streams and WebSockets hold no permit; their number is bounded apart.

mod app;
mod buffer;
mod connections;
mod exchange;
mod exchanges;
mod failure;
mod forward;
mod gated;
mod gateway;
mod refuse;
mod retries;
mod streams;
mod tunnel;
mod upload;

pub use self::{app::App, gated::Gated, gateway::Gateway, tunnel::ConnectionGuard};
