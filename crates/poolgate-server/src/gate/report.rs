//! What the gate did with a request, for an access log.

use std::time::Duration;

/// In the extensions of a request: asks the gate for a [`GateReport`].
#[derive(Clone, Copy, Debug)]
pub struct ReportWanted;

/// In the extensions of the response to a request with [`ReportWanted`]: what the gate did with it. Preflights have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateReport {
    /// `admitted`, `quota` (the client sent more than its share), `open` (the breaker is open) or `rejected`.
    pub outcome: &'static str,
    /// Time in the gate's queue.
    pub waited: Duration,
    /// Time from arrival at the gate until the request got its first connection; `None`: it got none, or it is not seen.
    pub acquire_wait: Option<Duration>,
}

impl GateReport {
    /// The outcome of an admitted request.
    pub(super) const ADMITTED: &str = "admitted";
}
