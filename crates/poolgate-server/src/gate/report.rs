//! What the gate did with a request, for an access log and for traces.

use std::time::{Duration, Instant};

use axum::extract::MatchedPath;

/// In the extensions of a request: asks the gate for a [`GateReport`].
#[derive(Clone, Copy, Debug)]
pub struct ReportWanted;

/// In the extensions of the response to a request with [`ReportWanted`]: what the gate did with it. Preflights have none.
#[derive(Clone, Debug)]
pub struct GateReport {
    /// `admitted`, `quota` (the client sent more than its share), `open` (the breaker is open) or `rejected`.
    pub outcome: &'static str,
    /// When it arrived at the gate; a small body has been read by then.
    pub asked: Instant,
    /// Time in the gate's queue.
    pub waited: Duration,
    /// The request's first connection; `None`: it got none, or it is not seen.
    pub acquired: Option<Acquired>,
    /// The route of the app's router; `None`: it is not known, as behind a gateway.
    pub route: Option<MatchedPath>,
}

/// The waits for a request's first connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acquired {
    /// Time from the arrival at the gate until the connection was there.
    pub acquire_wait: Duration,
    /// The pool's part of it.
    pub pool_wait: Duration,
}

impl GateReport {
    /// The outcome of an admitted request.
    pub(super) const ADMITTED: &str = "admitted";
}
