//! What a gate is asked, and what it answers.

use std::time::Duration;

/// Who asks to be let in. The default is somebody of normal priority of whom nothing else is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// Who goes first when not all can.
    pub priority: Priority,
    /// A hash of who asks; `None`: not told apart, and taken for light.
    pub caller: Option<u64>,
    /// How many clients `caller` stands for (an address, for all behind it); 0 counts as 1.
    pub clients: u32,
    /// When the answer is of no use any more, on the gate's clock.
    pub deadline: Option<Duration>,
    /// It is more than its caller's allowance: it gets only what all others leave.
    pub excess: bool,
}

/// Who goes first when not all can; the greater one. Nobody starves: of the permits that are handed on while it waits, and
/// of the queue's places, each priority gets a tenth at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Nobody waits for it: prefetching, reports, synchronisation.
    Background,
    /// Everything else.
    #[default]
    Normal,
    /// Somebody looks at the screen and waits.
    Interactive,
}

/// What asking for a permit comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a permit that was granted must come back"]
pub enum Admission {
    /// In at once, with a permit.
    Granted,
    /// It waits; the ticket is for leaving the queue.
    Queued(Ticket),
    /// Turned away at once.
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
    /// When its wait is over at the latest, on the gate's clock.
    pub fn expires(&self) -> Duration {
        self.expires
    }
}

/// Which of the two queues somebody waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Lane {
    /// Its caller has less than its share of the permits.
    Within,
    /// Its caller has its share, or this is more than its allowance. Served while nobody waits within.
    Beyond,
}

/// Why somebody is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The queue is full.
    QueueFull,
    /// It waited for as long as anybody may.
    Timeout,
    /// It waited too long in a queue that does not drain.
    TooOld,
    /// The queue is full, and somebody of higher priority or a lighter caller took its place.
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
    /// Requests that wait.
    pub queued: u32,
    /// Those of them that are in excess of their callers' allowances.
    pub excess: u32,
    /// How long the oldest of them has waited.
    pub oldest_wait: Duration,
}
