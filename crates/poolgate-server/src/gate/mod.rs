//! The gate in front of the pool. It bounds how many requests are in flight, how many are queued and for how long, and
//! rejects the rest at once and cheaply, with a problem document that says how full it is (`max_concurrent_requests`,
//! `in_flight`, `waiting`).
//!
//! A permit stands for the time in which the database works for a request. A request asks for it when its small body
//! has arrived; while the app waits for the next piece of a larger body, the permit goes back. It ends with the last
//! byte that the app has produced, whether a reader has taken it or not. A response that is a stream of its own (`101
//! Switching Protocols`, `text/event-stream`) holds none. Any other response in pieces holds one while a connection of
//! Poolgate's pool is in use for it. Of other pools Poolgate sees only how many connections are in use: then a permit
//! ends 250 ms after the head, at once while requests are queued, or later if as many connections are in use as
//! permits. A client that vanishes gives its permit back.
//!
//! Queued requests are served by priority (see [`Gate::classify`]). When not all can be, light callers (see
//! [`Gate::identify`]) go before heavy ones, and a request whose own deadline (`Poolgate-Deadline-Ms`) would be missed
//! is rejected.
//!
//! Every response carries `Poolgate-Config`, also that of a rejected request, so that clients learn from each answer
//! what they may send. A request is judged and its response stamped by the same config, the one in force when it asks
//! for a permit. CORS preflights pass uncounted. Pages of other origins can read rejects only if the layer that adds
//! the CORS headers is outside of the gate, which in axum is the one added later:
//! `.layer(poolgate.gate()).layer(cors)`.
//!
//! While the breaker is open, only a few probes pass. While a fair rate is in force, a client that sends more than its
//! share is answered 429.

mod admission;
mod arrival;
mod core;
mod entry;
mod future;
mod hold;
mod layer;
mod limiter;
mod orders;
mod reject;
mod report;
mod request_body;
mod response_body;
mod route_figures;
mod routes;
mod server_timing;
mod tally;
mod trace;
mod trace_parent;

#[cfg(test)]
mod tests;

pub use poolgate_types::Priority;

pub use self::{
    admission::{Admitted, Rejected},
    future::ResponseFuture,
    layer::{Gate, GateService},
    report::{Acquired, GateReport, ReportWanted},
    response_body::GateBody,
    server_timing::add_server_timing,
    trace_parent::{TraceParent, trace_id},
};
pub(crate) use self::{
    core::{Core, Surroundings},
    route_figures::{PLACES, RouteFigures, RouteTotals},
    tally::Totals,
    trace::RequestTrace,
};
