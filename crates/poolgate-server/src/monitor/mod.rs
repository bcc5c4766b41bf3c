//! Watches the pool and drives the controller: one task that ticks.
//!
//! Each tick takes a [sample](sampler), asks the controller, and publishes what came of it: one config document and one
//! status document, both encoded once, which is all that any viewer ever reads. A second task ([contact]) asks the
//! database itself for a sign of life. Nothing that a viewer does causes a query.

mod cause;
pub(crate) mod cleanup;
pub(crate) mod contact;
mod documents;
mod performance;
mod report;
mod sampler;
pub(crate) mod server_room;
mod sizing;
mod standing;
mod tick;
mod warm_up;

pub(crate) use self::{
    cause::Failure,
    documents::{ConfigDocument, StatusDocument, event},
    tick::run,
};
