//! A source elsewhere whose requests pass the gateway.

use std::time::Duration;

use futures_core::future::BoxFuture;
use poolgate_pool::{ConnectHistory, Drained};
use poolgate_server::{BlindSpot, BoxError, DedicatedConnection, Figures, WatchedPool};
use poolgate_types::Backend;

/// A watched source with the gate before it: the source says how the database is, the gate how many requests come. What
/// the source shows of requests does not count, and so `visibility` is left as it is by default.
#[derive(Debug)]
pub struct Gated<S>(pub S);

impl<S: WatchedPool> WatchedPool for Gated<S> {
    fn backend(&self) -> Option<Backend> {
        self.0.backend()
    }

    fn figures(&self) -> Figures {
        self.0.figures()
    }

    fn connect_history(&self) -> ConnectHistory {
        self.0.connect_history()
    }

    fn dedicated_connection(&self, timeout: Duration) -> BoxFuture<'_, Result<Box<dyn DedicatedConnection>, BoxError>> {
        self.0.dedicated_connection(timeout)
    }

    fn drain(&self, timeout: Duration) -> BoxFuture<'_, Drained> {
        self.0.drain(timeout)
    }

    fn refresh(&self) -> Option<BoxFuture<'_, ()>> {
        self.0.refresh()
    }

    fn is_behind_app(&self) -> bool {
        true
    }

    fn blind_spot(&self) -> Option<BlindSpot> {
        self.0.blind_spot()
    }

    fn is_paused(&self) -> bool {
        self.0.is_paused()
    }
}
