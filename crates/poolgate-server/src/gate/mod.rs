//! The gate in front of the pool: so many requests are in flight, so many wait, for so long, and the rest is turned away
//! at once, cheaply, with a problem document that says how full it is (`max_concurrent_requests`, `in_flight`, `waiting`).
//!
//! A permit is what the database feels of a request. It begins when a small request body is there; while the app waits for
//! the next piece of any other, it goes back. It ends with the last byte that the app has given, whether a reader has
//! taken it or not. A body that is a stream of its own (`101 Switching Protocols`, `text/event-stream`) holds none; any
//! other that is given piece by piece holds one while a connection of Poolgate's pool is in use for it. Of other pools
//! Poolgate sees only how many connections are in use: then a permit ends 250 ms after the head, at once while others wait,
//! or later if as many connections are in use as permits. A client that vanishes gives it back.
//!
//! Who waits is served by priority (see [`Gate::classify`]), light callers (see [`Gate::identify`]) before heavy ones when
//! not all can be, and nobody whose own deadline (`Poolgate-Deadline-Ms`) would be missed.
//!
//! Every response carries `Poolgate-Config`, rejects included, so that clients learn from each answer what they may send.
//! CORS preflights pass uncounted. For pages of other origins to read rejects, the layer that adds the CORS headers must be
//! outside of the gate, which in axum is the one added later: `.layer(poolgate.gate()).layer(cors)`.
//!
//! While the breaker is open nothing passes but a few probes; while a fair rate is in force, a client that sends more
//! than its share is answered 429.

mod body;
mod core;
mod future;
mod hold;
mod jitter;
mod layer;
mod limiter;
mod orders;
mod permit;
mod preflight;
mod reject;
mod service;
mod signals;
mod streams;
mod tally;
mod trace;
mod upload;

#[cfg(test)]
mod tests;

pub use poolgate_control::gate::Priority;

pub use self::{body::GateBody, future::ResponseFuture, layer::Gate, service::GateService};
pub(crate) use self::{core::Core, orders::Orders, tally::Totals, trace::RequestTrace};

use tokio_util::sync::CancellationToken;

use crate::{
    clients::Registry,
    settings::{GateSettings, ServerSettings},
};

impl Gate {
    /// A gate on its own: it bounds and rejects, and its config is NORMAL for ever. With the control loop it comes from
    /// [`Poolgate::gate`](crate::Poolgate::gate).
    pub fn new(settings: &GateSettings) -> Self {
        let closing = CancellationToken::new();
        Self::with_core(Core::new(settings, &ServerSettings::default(), Registry::default(), closing))
    }
}
