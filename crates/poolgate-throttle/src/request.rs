//! The types of a request's life: submitted, permitted or rejected, completed.

use std::time::Duration;

use poolgate_types::Priority;

/// A request that the app wants to send. The default waits at most
/// [`Settings::queue_timeout`](crate::Settings::queue_timeout) at normal priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// How important it is compared with others of the same client. A lower priority that has been passed over often enough
    /// goes next all the same: normal after 8 starts in a row, low after 16, high after 4; critical is never passed over.
    pub priority: Priority,
    /// Maximum time in the queue, at most an hour; zero: the request must start at once or is rejected. `None`:
    /// [`Settings::queue_timeout`](crate::Settings::queue_timeout).
    pub queue_timeout: Option<Duration>,
    /// Starts at once under all limits, costs no token and does not count as in flight.
    pub bypass: bool,
}

/// Names a request of one [`Throttle`](crate::Throttle). Later requests have greater ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(crate) u64);

/// The right to run one request. Give it back with [`Throttle::complete`](crate::Throttle::complete) exactly once,
/// after success and failure alike: until then the request counts as in flight.
///
/// Dropping a permit does not free its slot, because the permit has no reference to its throttle. Keep it where no
/// early return, panic or cancelled task can lose it: in a table next to the request, or in a guard of your own that
/// completes it as [`Aborted`](Outcome::Aborted) when it is dropped.
#[derive(Debug)]
#[must_use = "a permit that is not completed counts as in flight for ever"]
pub struct Permit {
    pub(crate) id: RequestId,
    /// The throttle that gave it; other throttles ignore it.
    pub(crate) owner: u64,
    pub(crate) kind: PermitKind,
}

/// What a permit occupies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PermitKind {
    /// A slot of the concurrency limit.
    Counted,
    /// A slot of the concurrency limit, and the breaker waits for the answer to this probe.
    Probe(u64),
    /// Nothing.
    Bypass,
}

/// Result of [`Throttle::submit`](crate::Throttle::submit).
#[derive(Debug)]
#[must_use = "it may hold a permit"]
pub enum Submitted {
    /// Send the request now.
    Start(Permit),
    /// The request waits; [`Throttle::poll`](crate::Throttle::poll) will report its start or rejection under this id.
    Queued(RequestId),
    /// Do not send the request.
    Rejected(Rejection),
}

/// Why a request is not sent, and when to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Why it was rejected.
    pub reason: RejectReason,
    /// Time from now after which another attempt may succeed, if known.
    pub retry_after: Option<Duration>,
}

/// Why a request is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectReason {
    /// The queue is full, and the new request would start last.
    QueueFull,
    /// It reached its maximum time in the queue.
    QueueTimeout,
    /// The breaker is open: the database does not answer, or no server is reachable.
    CircuitOpen,
    /// It was queued when the client was [closed](crate::News::Closed).
    Closed,
}

/// How a permitted request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server answered, with any status.
    Success,
    /// No contact: refused, reset, unresolved or offline.
    Failure,
    /// The gate rejected it (503 `database_unavailable` or 429 `quota_exceeded`).
    Rejected {
        /// The response's `Retry-After`; `None` counts as one second.
        retry_after: Option<Duration>,
    },
    /// The app gave up before the answer; no evidence for the breaker.
    Aborted,
}

impl RequestId {
    /// The id as a number, for use as a key.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl From<u64> for RequestId {
    /// The id with this [number](RequestId::as_u64). An id that was never given matches no request.
    fn from(id: u64) -> Self {
        Self(id)
    }
}

impl Rejection {
    pub(crate) const fn new(reason: RejectReason, retry_after: Option<Duration>) -> Self {
        Self { reason, retry_after }
    }
}

impl Permit {
    /// The request that this permit is for.
    pub const fn id(&self) -> RequestId {
        self.id
    }
}
