//! The types of a request's life: submitted, permitted or rejected, completed.

use std::time::Duration;

/// A request that the app wants to send. The default has normal priority and waits at most
/// [`Settings::queue_timeout`](crate::Settings::queue_timeout).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Importance relative to other requests of this client.
    pub priority: Priority,
    /// Maximum time in the queue, at most an hour; zero: the request must start at once or is rejected. `None`:
    /// [`Settings::queue_timeout`](crate::Settings::queue_timeout).
    pub queue_timeout: Option<Duration>,
    /// Starts at once under all limits, costs no token and does not count as in flight.
    pub bypass: bool,
}

/// Importance of a request. Higher priorities start first, but a lower one that has been passed over often enough
/// starts next (see [`Priority::patience`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// No user waits for it: prefetching, telemetry.
    Low,
    /// A request of the app without a stated priority.
    #[default]
    Normal,
    /// A user watches the place where the answer will appear.
    High,
    /// The app does not work without it: sign-in, payment.
    Critical,
}

/// Identifies a request of one [`Throttle`](crate::Throttle). Later requests have greater ids.
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

impl Priority {
    /// All priorities, the highest first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Normal, Self::Low];

    /// How many starts in a row may pass over the queued requests of this priority before one of them starts: 0 (never
    /// passed over) for critical, 4 for high, 8 for normal, 16 for low. With all four queued, about every 16th start is
    /// of low priority.
    pub const fn patience(self) -> u32 {
        match self {
            Self::Critical => 0,
            Self::High => 4,
            Self::Normal => 8,
            Self::Low => 16,
        }
    }
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
