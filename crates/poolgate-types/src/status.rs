//! The status document: one snapshot with everything that an operator needs.

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

/// One snapshot of pool, gate and limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Status {
    /// How full the pool is, and whether the database works without restriction.
    pub health: Health,
    /// How strongly clients are limited.
    pub throttling_level: Level,
    /// `true`: the level is EMERGENCY.
    pub emergency_mode_active: bool,
    /// State of the circuit breaker.
    pub circuit_breaker: CircuitState,
    /// The connection pool.
    pub pool: PoolStatus,
    /// The gate in front of the pool; null where this server only watches and requests do not pass through it.
    pub gate: Option<GateStatus>,
    /// Requests and waits of the last seconds.
    pub performance: Performance,
    /// The clients that receive the config.
    pub clients: Clients,
    /// The last cleanup, automatic or requested; absent before the first one.
    pub last_cleanup: Option<CleanupReport>,
    /// The alerts that are active now.
    pub alerts: Vec<Alert>,
    /// Expected demand; absent while there is no forecast.
    pub forecast: Option<Forecast>,
    /// The fair rate in force, in requests per second per client.
    pub fair_rate_per_second: Option<f64>,
    /// Version of the config in force.
    pub config_version: u64,
    /// When the snapshot was taken, RFC 3339 in UTC.
    pub sampled_at: String,
}

/// The connection pool. All counters are read under one lock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PoolStatus {
    /// The kind of database.
    pub backend: Backend,
    /// Connections that stay open.
    pub pool_size: u32,
    /// Connections that may be opened in addition.
    pub max_overflow: u32,
    /// `pool_size + max_overflow`.
    pub capacity: u32,
    /// Connections in use.
    pub checked_out: u32,
    /// Open connections that are not in use.
    pub idle: u32,
    /// Open or opening connections above `pool_size`.
    pub overflow: u32,
    /// Connections being opened.
    pub connecting: u32,
    /// Connections that can be acquired without waiting for a return: `capacity - checked_out - connecting`.
    pub available: u32,
    /// Callers that wait for a connection; null where the source does not report them.
    pub waiting: Option<u32>,
    /// `checked_out / capacity` in percent.
    pub usage_percent: f64,
    /// Generation of the pool, raised by each disposal; connections of older generations are closed on return.
    pub generation: u64,
    /// Age of the oldest checkout in seconds.
    pub oldest_checkout_seconds: Option<f64>,
}

/// The gate in front of the pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GateStatus {
    /// Maximum number of requests in flight through the gate.
    pub max_concurrent_requests: u32,
    /// Requests in flight.
    pub in_flight: u32,
    /// Requests queued for a permit.
    pub waiting: u32,
    /// `in_flight / max_concurrent_requests` in percent.
    pub usage_percent: f64,
    /// Requests admitted since the start.
    pub admitted_total: u64,
    /// Requests rejected since the start.
    pub rejected_total: u64,
}

/// Requests and waits of the last [`window_seconds`](Self::window_seconds).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Performance {
    /// Length of the window in seconds.
    pub window_seconds: u32,
    /// Requests that arrived, including rejected ones; null where the watched source does not report them.
    pub requests: Option<u64>,
    /// Share of the requests, 0 to 1, that were rejected or answered with 5xx; null without a gate.
    pub error_rate: Option<f64>,
    /// Time from arrival at the gate until the head of the response; null without a gate.
    pub response_time_ms: Option<Percentiles>,
    /// Time from arrival at the gate until a connection was acquired; null where it is not measured.
    pub acquire_wait_ms: Option<Percentiles>,
    /// Use time / (use time + wait time) of connections, 0 to 1; 1 without requests, null where it is not measured.
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

/// The clients that receive the config: open streams, and addresses that polled within its `ttl_seconds`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Clients {
    /// Number of clients.
    pub live: u32,
    /// Number of clients that have been sent the current version.
    pub in_sync: u32,
}

/// An alert that is active.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Alert {
    /// What the alert is about.
    pub kind: AlertKind,
    /// How urgent it is.
    pub severity: Severity,
    /// What is wrong, with the figure.
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
    /// The gate is full, but most of its permit holders use no connection.
    GateFull,
    /// The database does not answer.
    DatabaseSilent,
    /// The database answers but refuses this server's login: wrong password or missing database.
    LoginRefused,
    /// The database server has no free connection for this pool.
    ServerFull,
    /// The database is paused by an operator (PgBouncer's `PAUSE`): requests wait.
    DatabasePaused,
    /// The database rejects writes: it is a standby or set to read-only.
    ReadOnly,
    /// The database cannot write because its disk is full.
    StorageFull,
    /// Writes fail because they wait too long for a lock that another session holds.
    WritesBlocked,
    /// Most requests are rejected although clients know a fair rate.
    ClientsDisobey,
    /// Requests arrive through a proxy that is not in `server.trusted_proxies`, so its clients share one address.
    ProxyUntrusted,
    /// Automatic cleanup freed nothing and has stopped.
    CleanupIneffective,
    /// The watched source reports only part of its figures; the message says what to do.
    PartialView,
}

/// Expected demand.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Forecast {
    /// How far ahead, in seconds.
    pub horizon_seconds: f64,
    /// Requests per second expected at that time.
    pub arrivals_per_second: f64,
}
