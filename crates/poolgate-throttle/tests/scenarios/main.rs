//! The throttle as its host sees it, in virtual time: one module for each of its rules.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

mod breaker;
mod configs;
mod eta;
mod jitter;
mod limits;
mod order;
mod overload;
mod pause;
mod properties;
mod queue;
mod replicas;
mod retries;
mod savings;
mod shares;
mod stale;
mod stuck;
mod world;
