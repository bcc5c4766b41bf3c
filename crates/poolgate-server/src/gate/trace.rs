//! What is remembered about a gated request while it runs, in its task.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

tokio::task_local! {
    static TRACE: RequestTrace;
}

/// Travels with a gated request through its task, so that the pool's observer can tell from when it has waited.
#[derive(Debug)]
pub(crate) struct RequestTrace {
    arrival: Instant,
    acquired: Cell<bool>,
}

/// A future with a trace in its task.
pub(super) type Traced<F> = tokio::task::futures::TaskLocalFuture<RequestTrace, F>;

impl RequestTrace {
    pub(super) fn new(arrival: Instant) -> Self {
        Self { arrival, acquired: Cell::new(false) }
    }

    pub(super) fn follow<F: Future>(self, future: F) -> Traced<F> {
        TRACE.scope(self, future)
    }

    /// Whether the request got a connection.
    pub(super) fn acquired(&self) -> bool {
        self.acquired.get()
    }

    /// A connection is in hand after `pool_wait` for it. Returns the acquire wait: from arrival at the gate, or, outside a
    /// gated request, the pool's part alone. A request's second connection counts with the pool's part alone as well:
    /// what it did in between is work, not waiting.
    pub(crate) fn connection_in_hand(pool_wait: Duration) -> Duration {
        TRACE
            .try_with(|trace| if trace.acquired.replace(true) { pool_wait } else { trace.arrival.elapsed() })
            .unwrap_or(pool_wait)
    }
}
