//! What the server saw since the previous tick.

use std::{sync::Arc, time::Duration};

use crate::contact::Contact;

/// What happened since the previous sample; counters are differences, gauges are the values of now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// The connection pool.
    pub pool: PoolSample,
    /// The gate in front of it.
    pub gate: GateSample,
    /// Gate permits given back since the previous sample.
    pub completed: u64,
    /// Acquire wait, from arrival at the gate until a connection is in hand: 99th percentile of the last two seconds; zero
    /// when nothing was acquired.
    pub acquire_wait_p99: Duration,
    /// Whether the database can be used; see [`Evidence::contact`](crate::Evidence::contact).
    pub contact: Contact,
    /// Since the newest attempt to reach the database failed; `None` where that is not known, and then `contact` counts as
    /// news. While nobody may ask, the last word on the database is an old one.
    pub failed: Option<Duration>,
    /// What new connections meet, where they fail; see [`Evidence::connects`](crate::Evidence::connects).
    pub connects: Contact,
    /// Why the newest attempt to reach the database failed, in words for people and without secrets.
    pub cause: Option<Arc<str>>,
    /// How the statements of the app ended.
    pub work: WorkSample,
    /// Gated requests that used a connection while the breaker was not closed. Those that got none say nothing: the pool may
    /// have told them what an earlier attempt met.
    pub probes: Probes,
    /// Clients that listen: open streams and recent pollers.
    pub live_clients: u32,
    /// Those of them that hold an open stream, and so hear of a new config at once.
    pub streaming_clients: u32,
    /// Requests name the client that they come from (`X-Forwarded-For`, `Forwarded`), and come from an address that is not
    /// in `server.trusted_proxies`, so the clients behind it cannot be told apart. False by default.
    pub proxy_untrusted: bool,
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
    /// Connections that may be open: size + overflow.
    pub capacity: u32,
    /// Callers that wait for a connection.
    pub waiting: u32,
    /// Connections that are open: in use or idle.
    pub open: u32,
    /// Connections being closed, or checked after they came back in doubt: their places are taken.
    pub closing: u32,
}

impl PoolSample {
    /// Callers who wait for a connection that is yet to be opened: there is a place for it. The others wait for one to come
    /// back.
    pub(crate) fn unserved(&self) -> u32 {
        self.waiting.min(self.capacity.saturating_sub(self.open.max(self.checked_out)).saturating_sub(self.closing))
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
    /// Requests that arrived since the previous sample, rejected ones included, those over their quota not.
    pub arrivals: u64,
    /// Requests turned away since the previous sample.
    pub rejected: u64,
    /// Requests turned away since the previous sample because their client sent more than its share. They cost no
    /// capacity, so the fair rate does not know them; but they say that clients do not obey.
    pub over_quota: u64,
    /// Nobody is turned away: the queue is a pooler's, or an app's, where they wait until it is their turn. Demand that
    /// cannot be served then shows as a queue that does not drain.
    pub patient: bool,
}

/// How the app's statements ended since the previous sample, counted by connections that came back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkSample {
    /// The database took a write, and none of the errors below came.
    pub written: u64,
    /// A statement failed because the database takes no writes.
    pub read_only: u64,
    /// A statement failed because the disk is full.
    pub storage_full: u64,
    /// A statement failed because somebody else held a lock for too long.
    pub blocked: u64,
    /// Whether the database says of itself that it is read-only; `None` where it was not asked.
    pub read_only_mode: Option<bool>,
    /// Connections of the app whose statement has waited for a lock for two seconds or more, as far as the database says.
    pub waiting_for_locks: u32,
}

/// What gated requests met while the breaker was not closed, since the previous sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    /// They were answered well.
    pub succeeded: u32,
    /// They were not.
    pub failed: u32,
}
