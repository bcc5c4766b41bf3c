//! The status document: everything an operator wants to see, in one snapshot.

use serde::{Deserialize, Serialize};

use crate::{Backend, CircuitState, CleanupReport, Health, Level, Severity};

/// Answer of the ping route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Ping {
    /// Always `pass`.
    pub status: String,
    /// Always `poolgate`.
    pub service: String,
    /// Version of the server.
    pub version: String,
    /// Whole seconds since the server's start.
    pub uptime_seconds: u64,
}

/// One snapshot of pool, gate and decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Status {
    /// How full the pool is, and whether the database does all of its work.
    pub health: Health,
    /// How strongly clients are slowed down.
    pub throttling_level: Level,
    /// The level is EMERGENCY.
    pub emergency_mode_active: bool,
    /// State of the breaker.
    pub circuit_breaker: CircuitState,
    /// The connection pool.
    pub pool: PoolStatus,
    /// The gate in front of it; null where requests do not pass this server, which then only watches.
    pub gate: Option<GateStatus>,
    /// What requests met lately.
    pub performance: Performance,
    /// The clients that listen.
    pub clients: Clients,
    /// The newest cleanup, by whatever it was triggered.
    pub last_cleanup: Option<CleanupReport>,
    /// The alerts that are active now.
    pub alerts: Vec<Alert>,
    /// Expected demand; absent while there is no forecast.
    pub forecast: Option<Forecast>,
    /// The fair rate in force, requests a second and client.
    pub fair_rate_per_second: Option<f64>,
    /// Version of the config in force.
    pub config_version: u64,
    /// When the snapshot was taken, RFC 3339 in UTC.
    pub sampled_at: String,
}

/// The connection pool, all counters from one locked state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PoolStatus {
    /// The kind of database.
    pub backend: Backend,
    /// Connections that are kept.
    pub pool_size: u32,
    /// Connections that may be opened on top.
    pub max_overflow: u32,
    /// `pool_size + max_overflow`.
    pub capacity: u32,
    /// Connections in use.
    pub checked_out: u32,
    /// Open connections that nobody uses.
    pub idle: u32,
    /// Open or opening connections above `pool_size`.
    pub overflow: u32,
    /// Connections being opened.
    pub connecting: u32,
    /// Callers that could get a connection without waiting for another to be returned: `capacity - checked_out - connecting`.
    pub available: u32,
    /// Callers that wait for a connection; null where the source does not show it.
    pub waiting: Option<u32>,
    /// `checked_out / capacity` in percent.
    pub usage_percent: f64,
    /// Counts disposals: connections of an older generation are closed when they come back.
    pub generation: u64,
    /// Age of the oldest lease in seconds.
    pub oldest_checkout_seconds: Option<f64>,
}

/// The gate in front of the pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GateStatus {
    /// Requests that may be in flight.
    pub max_concurrent_requests: u32,
    /// Requests in flight.
    pub in_flight: u32,
    /// Requests that wait for a permit.
    pub waiting: u32,
    /// `in_flight / max_concurrent_requests` in percent.
    pub usage_percent: f64,
    /// Requests let in since the start.
    pub admitted_total: u64,
    /// Requests turned away since the start.
    pub rejected_total: u64,
}

/// What requests met during the last [`window_seconds`](Self::window_seconds).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Performance {
    /// Length of the window in seconds.
    pub window_seconds: u32,
    /// Requests that arrived in the window, rejected ones included; null where the watched source does not show them.
    pub requests: Option<u64>,
    /// Share of them, 0 to 1, that were rejected or answered 5xx; null without a gate.
    pub error_rate: Option<f64>,
    /// From arrival at the gate to the response's head; null without a gate.
    pub response_time_ms: Option<Percentiles>,
    /// From arrival at the gate until a connection was in hand; null where nobody measures it.
    pub acquire_wait_ms: Option<Percentiles>,
    /// Use time / (use time + wait time) of connections, 0 to 1; 1 when nothing ran, null where nobody measures it.
    pub pool_efficiency: Option<f64>,
}

/// Percentiles in milliseconds; 0 when nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Percentiles {
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
}

/// The clients that listen: open streams, and addresses that polled within the config's `ttl_seconds`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Clients {
    /// How many there are.
    pub live: u32,
    /// How many of them were sent the config in force.
    pub in_sync: u32,
}

/// An alert that is active.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Alert {
    /// What it is about.
    pub kind: AlertKind,
    /// How urgent it is.
    pub severity: Severity,
    /// What is wrong, in words with the figure.
    pub message: String,
    /// When it was raised, RFC 3339 in UTC.
    pub since: String,
}

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// The pool is 70, 80 or 90 % full.
    PoolUsage,
    /// The gate is full, and most of what holds its permits uses no connection.
    GateFull,
    /// The database does not answer.
    DatabaseSilent,
    /// The database answers, and does not let this server in: a wrong password, a missing database.
    LoginRefused,
    /// The database server has no free connection for this pool.
    ServerFull,
    /// The database is paused on purpose (PgBouncer's `PAUSE`): requests wait.
    DatabasePaused,
    /// The database takes no writes: it is a standby, or set to read-only.
    ReadOnly,
    /// The database cannot write: its disk is full.
    StorageFull,
    /// Writes end in vain waiting for a lock that somebody else holds.
    WritesBlocked,
    /// Most requests are turned away although clients were told a fair rate.
    ClientsDisobey,
    /// Requests come through a proxy that is not in `server.trusted_proxies`, so its clients cannot be told apart.
    ProxyUntrusted,
    /// Automatic cleanup freed nothing and has stopped.
    CleanupIneffective,
    /// The watched source shows only a part of what it should; the message says what to do.
    PartialView,
}

/// Expected demand.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Forecast {
    /// How far ahead, in seconds.
    pub horizon_seconds: f64,
    /// Requests a second that are expected then.
    pub arrivals_per_second: f64,
}
