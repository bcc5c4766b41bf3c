//! What the server saw since the previous tick.

use std::time::Duration;

/// What happened since the previous sample; counters are differences, gauges are the values of now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// The connection pool.
    pub pool: PoolSample,
    /// The gate in front of it.
    pub gate: GateSample,
    /// Gate permits given back since the previous sample.
    pub completed: u64,
    /// Sum of the times that these permits were held.
    pub hold_total: Duration,
    /// How long requests waited from the gate until a connection was in hand.
    pub acquire_waits: WaitSample,
    /// Whether the database answers, by the server's own evidence.
    pub contact: Contact,
    /// Gated requests that met the database while the breaker was not closed.
    pub probes: Probes,
    /// Clients that listen: open streams and recent pollers.
    pub live_clients: u32,
    /// Those of them that hold an open stream, and so hear of a new config at once.
    pub streaming_clients: u32,
}

impl Sample {
    /// Requests that the gate lets in and the pool has connections for; at least one.
    pub(crate) fn slots(&self) -> u32 {
        self.gate.permits.min(self.pool.capacity).max(1)
    }
}

/// Gauges of the connection pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolSample {
    /// Connections in use.
    pub checked_out: u32,
    /// Open connections that nobody uses.
    pub idle: u32,
    /// Connections being closed, or checked after they came back in doubt: their places are taken.
    pub closing: u32,
    /// Connections that may be open: size + overflow.
    pub capacity: u32,
    /// Callers that wait for a connection.
    pub waiting: u32,
}

impl PoolSample {
    /// Connections that are open and fit for use.
    pub(crate) fn open(&self) -> u32 {
        self.checked_out.saturating_add(self.idle)
    }

    /// Callers who wait for a connection that is yet to be opened: there is a place for it. The others wait for one to come
    /// back.
    pub(crate) fn unserved(&self) -> u32 {
        self.waiting.min(self.capacity.saturating_sub(self.open()).saturating_sub(self.closing))
    }
}

/// Gauges and counters of the gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GateSample {
    /// Requests that may be in flight by its settings, whatever the controller has decided.
    pub permits: u32,
    /// Requests in flight.
    pub in_flight: u32,
    /// Requests that wait for a permit.
    pub queued: u32,
    /// How long the oldest of them has waited.
    pub oldest_wait: Duration,
    /// Requests that arrived since the previous sample, rejected ones included, those over their quota not.
    pub arrivals: u64,
    /// Requests let in since the previous sample.
    pub admitted: u64,
    /// Requests turned away since the previous sample.
    pub rejected: u64,
    /// Requests turned away since the previous sample because their client sent more than its share. They cost no
    /// capacity, so the fair rate does not know them; but they say that clients do not obey.
    pub over_quota: u64,
    /// Nobody is turned away: the queue is a pooler's, or an app's, where they wait until it is their turn. Demand that
    /// cannot be served then shows as a queue that does not drain.
    pub patient: bool,
}

/// Acquire waits: from arrival at the gate until a connection is in hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WaitSample {
    /// 99th percentile of the last two seconds; zero when nothing was acquired.
    pub p99: Duration,
    /// Least wait since the previous sample; zero when nothing was acquired.
    pub min: Duration,
}

/// Whether the database answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Contact {
    /// Nothing is known yet.
    #[default]
    Unknown,
    /// The newest evidence is an answer.
    Answering,
    /// The newest evidence is a failure to connect or an answer that did not come in time.
    Silent,
}

/// What gated requests met while the breaker was not closed, since the previous sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    /// They got their connection.
    pub succeeded: u32,
    /// They did not.
    pub failed: u32,
}
