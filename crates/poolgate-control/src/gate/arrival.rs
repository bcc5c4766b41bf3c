//! What a gate is asked, and what it answers.

use std::time::Duration;

use poolgate_types::Priority;

/// A request for a permit. The default is one of normal priority from an unknown caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// Which request goes first when not all can.
    pub priority: Priority,
    /// A hash of the caller. Requests of unknown callers (`None`) are not told apart and count as those of a light
    /// caller.
    pub caller: Option<u64>,
    /// Clients that `caller` stands for: for an address, all clients behind it; 0 counts as 1.
    pub clients: u32,
    /// Time after which the answer is useless, on the gate's clock.
    pub deadline: Option<Duration>,
    /// It exceeds its caller's allowance, so it comes after all others.
    pub excess: bool,
}

/// The answer to a request for a permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a permit that was granted must come back"]
pub enum Admission {
    /// It has a permit.
    Granted,
    /// It is queued; the ticket is for leaving the queue.
    Queued(Ticket),
    /// It is rejected.
    Rejected(Reason),
}

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    pub(super) priority: Priority,
    pub(super) lane: Lane,
    pub(super) number: u64,
    pub(super) expires: Duration,
}

impl Ticket {
    /// The latest time at which its wait ends, on the gate's clock.
    pub fn expires(&self) -> Duration {
        self.expires
    }
}

/// One of the two parts of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Lane {
    /// Its caller has less than its share of the permits.
    Within,
    /// Its caller has its share, or this request exceeds its allowance. Served while no request within is queued.
    Beyond,
}

/// Why a request is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The queue is full.
    QueueFull,
    /// It was queued for the longest time allowed.
    Timeout,
    /// It was queued too long in a queue that does not drain.
    TooOld,
    /// The queue is full, and a request of higher priority or of a lighter caller took its place.
    Displaced,
    /// Its deadline cannot be met any more.
    Deadline,
}

/// One reading of a gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupancy {
    /// Permits in all.
    pub permits: u32,
    /// Permits in use.
    pub in_flight: u32,
    /// Requests that are queued.
    pub queued: u32,
    /// Queued requests that exceed their callers' allowances.
    pub excess: u32,
    /// How long the oldest queued request has waited.
    pub oldest_wait: Duration,
}
