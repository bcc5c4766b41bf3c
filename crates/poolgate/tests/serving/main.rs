//! Serving within bounds, over real connections.

mod crowds;
mod harness;
mod malformed;
mod slow;
mod stream;
