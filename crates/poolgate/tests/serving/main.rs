//! Serving within bounds, over real connections.

mod crowds;
mod malformed;
mod slow;
mod stream;
