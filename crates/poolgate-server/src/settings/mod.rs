//! What an operator can set: plain structs with defaults, and [`Settings::check`] for the ranges.
//!
//! An app changes fields of [`Settings::default`] or reads them with serde. The `poolgate` program reads them from a file,
//! the environment and flags.

mod check;
mod cleanup;
mod duration;
mod host;
mod list;
pub mod mask;
mod network;
mod origin;
mod scheme;
mod secret;
mod socket;
mod upstream;
mod watch;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

pub use self::{
    check::InvalidValue,
    cleanup::CleanupSettings,
    host::{HostPattern, InvalidHostPattern},
    network::{InvalidNetwork, Network},
    secret::{DatabaseUrl, Secret},
    upstream::{GatewaySettings, InvalidUpstreamUrl, OnAbort, UpstreamSettings, UpstreamUrl},
    watch::{InvalidWatchUrl, WatchSettings, WatchUrl, WatchedKind},
};

pub(crate) use self::host::Host;

/// All settings. Set what you need and take the rest from the default:
///
/// ```
/// use poolgate_server::{Settings, settings::GateSettings};
///
/// let gate = GateSettings { max_concurrent_requests: 50, ..GateSettings::default() };
/// let settings = Settings { gate, ..Settings::default() };
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How clients are limited when connections are scarce. Default: adaptive.
    pub policy: Policy,
    /// The HTTP server.
    pub server: ServerSettings,
    /// The database.
    pub database: DatabaseSettings,
    /// Watching another source instead of having a pool.
    pub watch: WatchSettings,
    /// The app that the gateway passes requests on to.
    pub upstream: UpstreamSettings,
    /// What of the public address is Poolgate's own.
    pub gateway: GatewaySettings,
    /// The connection pool.
    pub pool: PoolSettings,
    /// The gate in front of the pool.
    pub gate: GateSettings,
    /// Monitoring the database.
    pub monitor: MonitorSettings,
    /// The control loop.
    pub control: ControlSettings,
    /// Pool usage at which alerts are raised.
    pub thresholds: ThresholdSettings,
    /// The event stream.
    pub events: EventSettings,
    /// Cleaning up the pool.
    pub cleanup: CleanupSettings,
    /// Growing the pool ahead of demand.
    pub sizing: SizingSettings,
    /// The sample app.
    pub demo: DemoSettings,
}

/// How clients are limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// A fair rate, computed from arrivals and waits.
    #[default]
    Adaptive,
    /// Four fixed rows, selected by the pool's usage: the original system.
    Fixed,
}

/// Headers that browser tracing libraries add to requests: W3C Trace Context and Baggage, Sentry, Datadog, Zipkin's B3,
/// Jaeger, AWS X-Ray, Elastic, New Relic, Application Insights, Google Cloud, Instana, SkyWalking, PostHog, and plain
/// ids.
const TRACING_HEADERS: [&str; 32] = [
    "traceparent",
    "tracestate",
    "baggage",
    "sentry-trace",
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-datadog-origin",
    "x-datadog-sampling-priority",
    "x-datadog-tags",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "uber-trace-id",
    "x-amzn-trace-id",
    "elastic-apm-traceparent",
    "newrelic",
    "request-id",
    "request-context",
    "x-cloud-trace-context",
    "x-instana-t",
    "x-instana-s",
    "x-instana-l",
    "sw8",
    "x-posthog-session-id",
    "x-posthog-window-id",
    "x-posthog-distinct-id",
    "x-request-id",
    "x-correlation-id",
    "x-trace-id",
];

/// `server.*`: the HTTP server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// Address and port to listen on; port 0 lets the system choose. Default: `127.0.0.1:8000`.
    #[serde(deserialize_with = "socket::deserialize")]
    pub bind: SocketAddr,
    /// Where a gateway (`upstream.url`) serves what is for operators: the page, `/metrics`, `/livez`, `/readyz` and
    /// `/api/v1/openapi.json`; port 0 lets the system choose. Default: `127.0.0.1:8009`.
    #[serde(deserialize_with = "socket::deserialize")]
    pub admin_bind: SocketAddr,
    /// Host names of the server, if a proxy passes on the public one: `app.example` (with any port),
    /// `app.example:8443`, `*.app.example`, a network such as `10.0.0.0/8`, or `*` for every name. Requests for other
    /// hosts get 403, except at `/livez` and `/readyz`; loopback names always pass. Default: none, which means only
    /// loopback names on a loopback address and every name elsewhere.
    #[serde(deserialize_with = "list::deserialize")]
    pub allowed_hosts: Vec<HostPattern>,
    /// Other origins whose pages may read the API and send state-changing requests; also those of apps
    /// (`capacitor://localhost`). Default: none.
    #[serde(deserialize_with = "list::deserialize")]
    pub allowed_origins: Vec<String>,
    /// Whether these pages may send cookies and other credentials. Default: false.
    pub allow_credentials: bool,
    /// Headers that these pages may send in addition to `Content-Type`, `Authorization` and `If-None-Match`; `*` allows
    /// all. Default: those of tracing libraries (`traceparent`, `baggage`, `sentry-trace`, `x-datadog-…`).
    #[serde(deserialize_with = "list::deserialize")]
    pub allowed_headers: Vec<String>,
    /// Proxies whose `X-Forwarded-For` (or without it, `Forwarded`) is trusted: addresses or networks (`10.0.0.0/8`).
    /// They must append to the header or replace it. They are exempt from the limits per address. Default: none.
    #[serde(deserialize_with = "list::deserialize")]
    pub trusted_proxies: Vec<Network>,
    /// Token for the enabled cleanup steps; at least 16 characters. Default: none, which disables them for requests.
    pub admin_token: Option<Secret>,
    /// Folder of an operations page to serve instead of the embedded one. Default: none.
    pub www: Option<PathBuf>,
    /// Maximum number of open connections, streams included, 1 to 1,000,000. Default: 25,000.
    pub max_connections: u32,
    /// Maximum number of open connections per address (IPv6: per /64), 1 to 1,000,000, and never more than three
    /// quarters of `max_connections`. A further one replaces the longest idle one or is refused. Does not apply to
    /// `trusted_proxies`. Default: 4,000.
    pub max_connections_per_address: u32,
    /// Maximum size of a request's body in bytes, up to 64 MiB. Default: 1 MiB.
    pub max_body_bytes: u32,
    /// Maximum size of a request's head (names and values) in bytes, 1 KiB to 256 KiB. Default: 16 KiB.
    pub max_header_bytes: u32,
    /// Time limit for a request's head, from its first byte or, for the first request, from the start of the
    /// connection. Default: 10 s.
    #[serde(with = "duration")]
    pub header_timeout: Duration,
    /// How long a connection may idle between two requests. Keep it above the idle time of proxies in front (60 s or 75
    /// s are usual), or they send requests into closing connections. Default: 90 s.
    #[serde(with = "duration")]
    pub keep_alive_timeout: Duration,
    /// Time limit for a request's body up to 64 KiB, 1 s to 1 h; for a larger one, or one of unknown length, the limit
    /// for each next piece. Applies to gated routes: a request takes no permit until its small body is complete.
    /// Default: 30 s.
    #[serde(with = "duration")]
    pub body_timeout: Duration,
    /// Time limit for a response's head. Keep it above `pool.timeout`, or clients get a bare 504 instead of the pool's
    /// error. Default: 60 s.
    #[serde(with = "duration")]
    pub request_timeout: Duration,
    /// How long a client may read nothing of a response, event streams included, before its connection is closed.
    /// Default: 30 s.
    #[serde(with = "duration")]
    pub write_timeout: Duration,
    /// How long a shutdown keeps serving while `/readyz` answers 503, so that load balancers notice; up to 10 min.
    /// Default: 0 s.
    #[serde(with = "duration")]
    pub drain_delay: Duration,
    /// How long a shutdown then waits for requests to end and for connections to return. Default: 8 s; containers are
    /// killed after 10 s unless configured otherwise.
    #[serde(with = "duration")]
    pub drain_timeout: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 8000)),
            admin_bind: SocketAddr::from(([127, 0, 0, 1], 8009)),
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            allow_credentials: false,
            allowed_headers: TRACING_HEADERS.map(str::to_owned).to_vec(),
            trusted_proxies: Vec::new(),
            admin_token: None,
            www: None,
            max_connections: 25_000,
            max_connections_per_address: 4_000,
            max_body_bytes: 1 << 20,
            max_header_bytes: 16 << 10,
            header_timeout: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(90),
            body_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(8),
        }
    }
}

/// `database.*`: the database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseSettings {
    /// `postgres://…` or `sqlite://…`; `DATABASE_URL` is read too. Required, except in demo mode and for watching.
    pub url: Option<DatabaseUrl>,
    /// First part of the `application_name` that PostgreSQL shows for each connection, up to 40 letters, digits, `-`,
    /// `_` and `.`. The second part, after a colon, is random and distinguishes this process from its replicas: a
    /// cleanup ends only sessions with both. Default: `poolgate`.
    pub application_name: String,
    /// Whether a PgBouncer in transaction mode is in between. Queries then run in transactions of their own, and the
    /// settings below are left to the roles on the server (`ALTER ROLE app SET statement_timeout = …`). PgBouncer needs
    /// `ignore_startup_parameters = extra_float_digits`. Default: false.
    pub pgbouncer: bool,
    /// Maximum duration of a statement on PostgreSQL, up to 24 h; 0 s leaves it to the server, as for the next three.
    /// Default: 60 s, after which no caller waits for the answer.
    #[serde(with = "duration")]
    pub statement_timeout: Duration,
    /// Maximum wait for a lock on PostgreSQL, up to 24 h. Default: 10 s.
    #[serde(with = "duration")]
    pub lock_timeout: Duration,
    /// Maximum idle time in a transaction before PostgreSQL ends the session, up to 24 h. Default: 60 s.
    #[serde(with = "duration")]
    pub idle_in_transaction_timeout: Duration,
    /// How often PostgreSQL 14 and newer checks during a statement whether the client is still connected, up to 1 h. A
    /// server on Windows accepts only 0 s. Default: 5 s.
    #[serde(with = "duration")]
    pub client_check_interval: Duration,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self {
            url: None,
            application_name: "poolgate".to_owned(),
            pgbouncer: false,
            statement_timeout: Duration::from_secs(60),
            lock_timeout: Duration::from_secs(10),
            idle_in_transaction_timeout: Duration::from_secs(60),
            client_check_interval: Duration::from_secs(5),
        }
    }
}

/// `pool.*`: the connection pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PoolSettings {
    /// Connections that stay open, 1 to 10,000. Default: 20.
    pub size: u32,
    /// Additional connections under load, up to 10,000. Default: 10.
    pub max_overflow: u32,
    /// Minimum number of idle connections beside those in use, 0 to `pool.size`, as long as no more than `pool.size`
    /// are open. They are opened before `/readyz` reports ready, for at most 10 s, and again after every loss. Default:
    /// `pool.size`, so that a start, a failover and a burst find open connections; with 0 they are opened only on
    /// demand.
    pub min_idle: Option<u32>,
    /// How long a caller waits for a connection. Default: 30 s.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Time limit for opening a connection. Default: 5 s.
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
    /// Maximum number of connections being opened at the same time, 1 to 100: starts at four, grows by one with each
    /// success, and drops to one after a failure. Default: 16.
    pub max_connecting: u32,
    /// Mean number of connections opened per second after the first fill, 1 to 10,000. Default: 20.
    pub connect_rate: u32,
    /// Age at which a connection is replaced, up to 24 h, shortened by up to a quarter at random; 0 s: never. Default:
    /// 30 min.
    #[serde(with = "duration")]
    pub max_lifetime: Duration,
    /// When to reset the session of a returned connection. Default: auto.
    pub reset: PoolReset,
    /// Idle time after which a connection is tested before use. Default: 1 s.
    #[serde(with = "duration")]
    pub pre_ping_idle: Duration,
    /// Which idle connection is used first. Default: the most recently used one, so that the others can be closed.
    pub order: PoolOrder,
}

/// Which idle connection is used first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolOrder {
    /// The most recently used one.
    #[default]
    Lifo,
    /// The least recently used one.
    Fifo,
}

/// When to reset the session of a returned connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolReset {
    /// After a statement that left session state, or that may have.
    #[default]
    Auto,
    /// After every use, with a round trip in the background.
    Always,
    /// Never: session state of one user is visible to the next.
    Never,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            size: 20,
            max_overflow: 10,
            min_idle: None,
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            max_connecting: 16,
            connect_rate: 20,
            max_lifetime: Duration::from_secs(30 * 60),
            reset: PoolReset::Auto,
            pre_ping_idle: Duration::from_secs(1),
            order: PoolOrder::Lifo,
        }
    }
}

/// `gate.*`: the gate in front of the pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GateSettings {
    /// Maximum number of requests in flight, 1 to 10,000. Default: 25.
    pub max_concurrent_requests: u32,
    /// How long a request waits for a permit, up to 1 min. Default: 500 ms.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Maximum number of queued requests, up to 100,000; further ones are rejected at once. Default: 100.
    pub max_queue: u32,
    /// The order in which queued requests are admitted, and when they are rejected early. Default: adaptive.
    pub order: QueueOrder,
    /// Maximum number of clients that count at one address for its share of the permits while others wait, 1 to
    /// 1,000,000. Default: 16.
    pub max_clients_per_address: u32,
    /// Beginnings of paths that a gateway passes on without a permit, such as `/static/`: those that use no database.
    /// Default: none.
    #[serde(deserialize_with = "list::deserialize")]
    pub bypass: Vec<String>,
}

/// The order in which queued requests of one priority are admitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueOrder {
    /// First come, first served, until the queue stops draining; then light callers and the newest first, and requests
    /// that have waited long are rejected early. See [`poolgate_control::gate`].
    #[default]
    Adaptive,
    /// First come, first served, always.
    Fifo,
}

impl Default for GateSettings {
    fn default() -> Self {
        Self {
            max_concurrent_requests: 25,
            timeout: Duration::from_millis(500),
            max_queue: 100,
            order: QueueOrder::Adaptive,
            max_clients_per_address: 16,
            bypass: Vec::new(),
        }
    }
}

/// `monitor.*`: monitoring the database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MonitorSettings {
    /// How often the log repeats that a pool is nearly full, 1 s to 1 h. Default: 30 s. The database is checked as
    /// often, but at least every 5 s, and every second while in doubt.
    #[serde(with = "duration")]
    pub interval: Duration,
    /// How long the database must be unusable before `/readyz` answers 503, so that a load balancer uses a replica that
    /// still reaches it; up to 1 h. `"0s"`: never, for a server without replicas. Default: 10 s.
    #[serde(with = "duration")]
    pub unready_after: Duration,
}

impl Default for MonitorSettings {
    fn default() -> Self {
        Self { interval: Duration::from_secs(30), unready_after: Duration::from_secs(10) }
    }
}

/// `control.*`: the control loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControlSettings {
    /// Time between two decisions, 10 ms to 1 s. Default: 100 ms.
    #[serde(with = "duration")]
    pub tick: Duration,
    /// Whether clients are limited. `false` only measures and alerts: the config stays NORMAL. Default: true.
    pub clients: bool,
}

impl Default for ControlSettings {
    fn default() -> Self {
        Self { tick: Duration::from_millis(100), clients: true }
    }
}

/// `thresholds.*`: pool usage in percent at which alerts are raised; rising, each above 0 and up to 100.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ThresholdSettings {
    /// Alert with severity info, and health DEGRADED. Default: 70.
    pub info: f64,
    /// Alert with severity warning. Default: 80.
    pub warning: f64,
    /// Alert with severity critical, and health CRITICAL above it. Default: 90.
    pub critical: f64,
}

impl Default for ThresholdSettings {
    fn default() -> Self {
        Self { info: 70.0, warning: 80.0, critical: 90.0 }
    }
}

/// `events.*`: the event stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventSettings {
    /// Maximum number of open streams, 1 to 1,000,000; further ones get 503. Default: 20,000.
    pub max_streams: u32,
    /// Maximum number of open streams per address (IPv6: per /64), 1 to 1,000,000, and never more than half of
    /// `server.max_connections`; further ones get 503, and their clients poll. Behind a proxy that is not in
    /// `server.trusted_proxies` all clients share one address. Default: 1,000.
    pub max_streams_per_address: u32,
}

impl Default for EventSettings {
    fn default() -> Self {
        Self { max_streams: 20_000, max_streams_per_address: 1_000 }
    }
}

/// `sizing.*`: growing the pool ahead of demand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SizingSettings {
    /// Whether the pool opens connections ahead of demand and grows beyond `pool.size`, and the gate with it, by a
    /// forecast of the requests; it shrinks back slowly. Default: false.
    pub predictive: bool,
    /// Maximum size, `pool.size` to 10,000; `pool.max_overflow` comes on top. Never more than the database server has
    /// room for: nine tenths of its limit, divided by `replicas`, and of its free connections. Default: 40.
    pub ceiling: u32,
    /// Horizon of the forecast, 1 s to 5 min. Default: 10 s.
    #[serde(with = "duration")]
    pub horizon: Duration,
    /// Number of servers like this one on the same database, 1 to 10,000. Default: 1.
    pub replicas: u32,
}

impl Default for SizingSettings {
    fn default() -> Self {
        Self { predictive: false, ceiling: 40, horizon: Duration::from_secs(10), replicas: 1 }
    }
}

/// `demo.*`: the sample app.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DemoSettings {
    /// Whether the shop and lab routes are served with their own data. Default: false.
    pub enabled: bool,
}
