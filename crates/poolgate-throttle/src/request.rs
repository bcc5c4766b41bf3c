//! A request's life: asked for, permitted or rejected, completed.

use std::time::Duration;

use poolgate_types::Priority;

/// A request that the app wants to send. The default waits at most
/// [`Settings::queue_timeout`](crate::Settings::queue_timeout) at normal priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// How important it is compared with others of the same client. A lower priority that has been passed over often enough
    /// goes next all the same: normal after 8 starts in a row, low after 16, high after 4; critical is never passed over.
    pub priority: Priority,
    /// How long it may wait, at most an hour; zero: not at all. `None`:
    /// [`Settings::queue_timeout`](crate::Settings::queue_timeout).
    pub queue_timeout: Option<Duration>,
    /// Starts at once whatever is in force, spends nothing and does not count as in flight.
    pub bypass: bool,
}

/// Names a request of one [`Throttle`](crate::Throttle). Later requests have greater ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(crate) u64);

/// The right to run one request. Give it back with [`Throttle::complete`](crate::Throttle::complete) exactly once,
/// whatever became of the request: until then the request counts as in flight.
///
/// A permit that is dropped holds its slot for ever, because it knows nothing of its throttle. Keep it where no early
/// return, panic or cancelled task can lose it: in a table next to the request, or in a guard of your own that
/// completes it as [`Aborted`](Outcome::Aborted) when it is dropped.
#[derive(Debug)]
#[must_use = "a permit that is not completed counts as in flight for ever"]
pub struct Permit {
    pub(crate) id: RequestId,
    /// The throttle that gave it; no other takes it back.
    pub(crate) owner: u64,
    pub(crate) kind: PermitKind,
}

/// What giving a permit back undoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PermitKind {
    /// A slot of the concurrency limit.
    Counted,
    /// A slot of the concurrency limit, and the breaker waits for the answer to this probe.
    Probe(u64),
    /// Nothing.
    Bypass,
}

/// The answer to [`Throttle::submit`](crate::Throttle::submit).
#[derive(Debug)]
#[must_use = "it may hold a permit"]
pub enum Submitted {
    /// Send the request now.
    Start(Permit),
    /// It waits; [`Throttle::poll`](crate::Throttle::poll) will say what becomes of it, under this id.
    Queued(RequestId),
    /// It will not be sent.
    Rejected(Rejection),
}

/// Why a request will not be sent, and when to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Why.
    pub reason: RejectReason,
    /// When another attempt may succeed, counted from now, if that is known.
    pub retry_after: Option<Duration>,
}

/// Why a request will not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectReason {
    /// As many requests wait as may wait, and none of them is less important.
    QueueFull,
    /// It waited as long as it might.
    QueueTimeout,
    /// The database does not answer, or nothing does.
    CircuitOpen,
    /// It still waited when the client was [closed](crate::News::Closed).
    Closed,
}

/// What became of a permitted request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server answered, with whatever status; it was reached.
    Success,
    /// No contact: refused, reset, unresolved, offline.
    Failure,
    /// The gate turned it away (503 `database_unavailable`, 429 `quota_exceeded`).
    Rejected {
        /// The response's `Retry-After`; `None` counts as one second.
        retry_after: Option<Duration>,
    },
    /// The app gave up before there was an answer; evidence for nothing.
    Aborted,
}

impl RequestId {
    /// The id as a number, for tables keyed by it.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl From<u64> for RequestId {
    /// The id that was this [number](RequestId::as_u64). One that no request has names none.
    fn from(id: u64) -> Self {
        Self(id)
    }
}

impl Permit {
    /// The request it is for.
    pub const fn id(&self) -> RequestId {
        self.id
    }
}
