//! The status document: one snapshot with everything that an operator needs.

use serde::{Deserialize, Serialize};

use crate::{Backend, CircuitState, CleanupReport, ClusterStatus, GatewayStatus, Health, Level, Severity};

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
    /// Since when the level has been this one, RFC 3339 in UTC.
    pub level_since: String,
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
    /// The replicas that share the database; absent for a server that is alone.
    #[serde(default)]
    pub cluster: Option<ClusterStatus>,
    /// The app behind this server; absent unless it is a gateway.
    #[serde(default)]
    pub gateway: Option<GatewayStatus>,
    /// The fair rate in force, in requests per second per client.
    pub fair_rate_per_second: Option<f64>,
    /// Version of the config in force.
    pub config_version: u64,
    /// The pool usage from which alerts are raised.
    pub thresholds: UsageThresholds,
    /// Version of the server.
    pub server_version: String,
    /// When the server was started, RFC 3339 in UTC. Another value than before means another process: all totals begin
    /// anew.
    pub started_at: String,
    /// When the snapshot was taken, RFC 3339 in UTC.
    pub sampled_at: String,
}

/// The pool usage from which alerts are raised, in percent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsageThresholds {
    /// From here an alert of severity `info`.
    pub info_percent: f64,
    /// From here an alert of severity `warning`.
    pub warning_percent: f64,
    /// From here an alert of severity `critical`.
    pub critical_percent: f64,
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
    /// Admitted requests since the start that were answered, and not with 5xx.
    pub succeeded_total: u64,
    /// Admitted requests since the start that were answered with 5xx, or given up by their client after 5 s without an
    /// answer.
    pub failed_total: u64,
    /// For how long requests have been in flight without any of them being answered, in seconds; null while none is in
    /// flight.
    pub unanswered_seconds: Option<f64>,
    /// Connections in use or waited for, per request in flight; absent unless a source behind the app shows them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections_per_request: Option<f64>,
    /// Database transactions per completed request; absent unless a source behind the app counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transactions_per_request: Option<f64>,
    /// Beginnings of paths whose requests seem to use no connection, for `gate.bypass`; absent while there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bypass_candidates: Vec<String>,
}

/// Requests and waits of the last [`window_seconds`](Self::window_seconds).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Performance {
    /// Length of the window in seconds.
    pub window_seconds: u32,
    /// Requests that arrived, including rejected ones; null where the watched source does not report them.
    pub requests: Option<u64>,
    /// Share of the requests, 0 to 1, that were rejected, answered with 5xx, or given up by their client after 5 s
    /// without an answer; null without requests or without a gate.
    pub error_rate: Option<f64>,
    /// Time from arrival at the gate until the head of the response; null while none was answered, or without a gate.
    pub response_time_ms: Option<Percentiles>,
    /// Time from arrival at the gate until a connection was acquired; null while none was, or where it is not measured.
    pub acquire_wait_ms: Option<Percentiles>,
    /// Use time / (use time + wait time) of connections, 0 to 1; null while none was in use, or where it is not
    /// measured.
    pub pool_efficiency: Option<f64>,
}

/// Percentiles in milliseconds.
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
    /// The replica does not agree on its share with the others: the cluster's store cannot be used or has no place.
    ClusterStatic,
}

impl AlertKind {
    /// Every kind, in the order of their declaration.
    pub const ALL: [Self; 14] = [
        Self::PoolUsage,
        Self::GateFull,
        Self::DatabaseSilent,
        Self::LoginRefused,
        Self::ServerFull,
        Self::DatabasePaused,
        Self::ReadOnly,
        Self::StorageFull,
        Self::WritesBlocked,
        Self::ClientsDisobey,
        Self::ProxyUntrusted,
        Self::CleanupIneffective,
        Self::PartialView,
        Self::ClusterStatic,
    ];

    /// The kind's name on the wire and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PoolUsage => "pool_usage",
            Self::GateFull => "gate_full",
            Self::DatabaseSilent => "database_silent",
            Self::LoginRefused => "login_refused",
            Self::ServerFull => "server_full",
            Self::DatabasePaused => "database_paused",
            Self::ReadOnly => "read_only",
            Self::StorageFull => "storage_full",
            Self::WritesBlocked => "writes_blocked",
            Self::ClientsDisobey => "clients_disobey",
            Self::ProxyUntrusted => "proxy_untrusted",
            Self::CleanupIneffective => "cleanup_ineffective",
            Self::PartialView => "partial_view",
            Self::ClusterStatic => "cluster_static",
        }
    }
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
