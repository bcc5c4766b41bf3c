//! What happened since the previous tick.

use std::{sync::Arc, time::Duration};

use crate::{reachability::Reachability, route_use::MOST_ROUTES};

/// What happened since the previous sample. Counters are differences, gauges are the present values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// The connection pool.
    pub pool: PoolSample,
    /// The gate in front of it.
    pub gate: GateSample,
    /// Gate permits given back since the previous sample.
    pub completed: u64,
    /// Acquire wait, from arrival at the gate until a connection is in hand: 99th percentile of the last two seconds;
    /// zero when nothing was acquired.
    pub acquire_wait_p99: Duration,
    /// Whether the pool can use the database; see [`Evidence::reachability`](crate::Evidence::reachability).
    pub reachability: Reachability,
    /// Time since the newest failed attempt to reach the database; `None` if unknown, and then `reachability` counts as
    /// news. While the breaker lets no request through, `reachability` rests on an old attempt.
    pub failed: Option<Duration>,
    /// Why new connections fail, if they do; see [`Evidence::connects`](crate::Evidence::connects).
    pub connects: Reachability,
    /// Why the newest attempt to reach the database failed, in words and without secrets.
    pub cause: Option<Arc<str>>,
    /// How the app's statements ended.
    pub work: WorkSample,
    /// Gated requests that used a connection while the breaker was not closed. A request that got none is no evidence:
    /// the pool may have answered it with the failure of an earlier attempt.
    pub probes: Probes,
    /// Clients that are told the config: open streams and recent pollers.
    pub live_clients: u32,
    /// Live clients with an open stream, which get a new config at once.
    pub streaming_clients: u32,
    /// By how much figures and configs are late because they pass through a store that several servers share. Default:
    /// zero.
    pub lag: Duration,
    /// Requests come through a proxy (`X-Forwarded-For`, `Forwarded`) whose address is not in `server.trusted_proxies`,
    /// so the clients behind it cannot be told apart. Default: false.
    pub proxy_untrusted: bool,
    /// What a source shows of the connections, if an app between gate and database decides which requests use one.
    /// `None`: the pool is this server's, or the requests do not pass a gate.
    pub source: Option<SourceSample>,
}

impl Sample {
    /// Requests that the gate admits and the pool has connections for; at least one.
    pub(crate) fn slots(&self) -> u32 {
        // Behind an app the permits follow from the connections; see `gate_width`.
        if self.source.is_some() { self.gate.permits.max(1) } else { self.connections() }
    }

    /// Connections that the requests of the gate can have, at least one. A source that has not been read yet has no known
    /// capacity.
    pub(crate) fn connections(&self) -> u32 {
        let is_unread = self.source.is_some() && self.pool.capacity == 0;
        let capacity = if is_unread { u32::MAX } else { self.pool.capacity };
        self.gate.permits.min(capacity).max(1)
    }
}

/// What a source shows of the database behind an app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceSample {
    /// The source's figures are of this moment; otherwise nothing is learned from them.
    pub is_fresh: bool,
    /// Transactions since the previous sample; `None` if the source does not count them.
    pub transactions: Option<u64>,
    /// Requests in flight of each route; the last number stands for all routes without a place of their own.
    pub routes: [u32; MOST_ROUTES],
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
    /// Open connections: in use or idle.
    pub open: u32,
    /// Connections being closed, or tested after a doubtful return. They take up capacity.
    pub closing: u32,
}

impl PoolSample {
    /// Callers that wait for a connection that the pool has room to open. The others wait for one to be returned.
    pub(crate) fn unserved(&self) -> u32 {
        self.waiting.min(self.capacity.saturating_sub(self.open.max(self.checked_out)).saturating_sub(self.closing))
    }
}

/// Gauges and counters of the gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GateSample {
    /// Requests that may be in flight by the settings, before any decision of the controller.
    pub permits: u32,
    /// Requests in flight.
    pub in_flight: u32,
    /// Requests that are queued for a permit.
    pub queued: u32,
    /// Requests that arrived since the previous sample, including rejected ones, without those over their quota.
    pub arrivals: u64,
    /// Requests rejected since the previous sample.
    pub rejected: u64,
    /// Requests rejected since the previous sample because their client sent more than its share. They cost no
    /// capacity, so the fair rate ignores them, but they show that clients do not obey.
    pub over_quota: u64,
    /// No request is rejected: the queue is that of a pooler or an app, where requests wait for their turn. Demand
    /// beyond capacity then shows as a queue that does not drain. Such a gate has no permits that could be set.
    pub patient: bool,
}

/// How the app's statements ended since the previous sample. Each returned connection counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkSample {
    /// Writes that succeeded, without any of the errors below.
    pub written: u64,
    /// Statements that failed because the database takes no writes.
    pub read_only: u64,
    /// Statements that failed because the disk is full.
    pub storage_full: u64,
    /// Statements that failed because another session held a lock for too long.
    pub blocked: u64,
    /// Whether the database reports that it is read-only; `None` if it was not asked.
    pub read_only_mode: Option<bool>,
    /// Connections of the app whose statement has waited for a lock for two seconds or more, if the database reports
    /// that.
    pub waiting_for_locks: u32,
}

/// Results of the requests that passed the gate while the breaker was not closed, since the previous sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    /// Requests that succeeded.
    pub succeeded: u32,
    /// Requests that failed.
    pub failed: u32,
}
