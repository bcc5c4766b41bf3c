//! What an operator can set, and how it is read.
//!
//! Later sources win: the defaults, a TOML file, the environment, flags. `pool.max_overflow` is `POOLGATE_POOL__MAX_OVERFLOW`
//! in the environment. A key that is not known or a value that is not possible stops the start with a message that
//! names the key.

mod advice;
mod check;
mod cleanup;
mod duration;
mod host;
mod list;
mod load;
pub(crate) mod mask;
mod network;
mod origin;
mod scheme;
mod secret;
mod socket;
mod source;
mod value;
mod watch;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

pub use self::{
    check::InvalidValue,
    cleanup::CleanupSettings,
    host::{HostPattern, InvalidHostPattern},
    load::{Flag, Overrides, Profile, SettingsError},
    network::{InvalidNetwork, Network},
    secret::{DatabaseUrl, Secret},
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
    /// How clients are slowed down when the database is short of connections. Default: adaptive.
    pub policy: Policy,
    /// The HTTP server.
    pub server: ServerSettings,
    /// The database.
    pub database: DatabaseSettings,
    /// Watching a source elsewhere instead of having a pool.
    pub watch: WatchSettings,
    /// The connection pool.
    pub pool: PoolSettings,
    /// The gate in front of the pool.
    pub gate: GateSettings,
    /// Watching the database.
    pub monitor: MonitorSettings,
    /// The control loop.
    pub control: ControlSettings,
    /// Pool usage at which alerts are raised.
    pub thresholds: ThresholdSettings,
    /// The event stream.
    pub events: EventSettings,
    /// Cleaning the pool up.
    pub cleanup: CleanupSettings,
    /// Growing the pool ahead of demand.
    pub sizing: SizingSettings,
    /// The sample app.
    pub demo: DemoSettings,
}

/// How clients are slowed down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// A fair rate, worked out from what arrives and what waits.
    #[default]
    Adaptive,
    /// Four fixed rows, chosen by the pool's usage: the original system.
    Fixed,
}

/// What tracing libraries in browsers add to requests: W3C Trace Context and Baggage, Sentry, Datadog, Zipkin's B3, Jaeger,
/// AWS X-Ray, Elastic, New Relic, Application Insights, Google Cloud, Instana, SkyWalking, PostHog, and plain ids.
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
    /// Names by which the server is reached, where a proxy passes the public one on: `app.example` (with any port),
    /// `app.example:8443`, `*.app.example`, a network such as `10.0.0.0/8`, or `*` for every name. Requests for others are
    /// answered 403, except at `/livez` and `/readyz`; loopback names always pass. Default: none, which means loopback
    /// names alone on a loopback address and every name elsewhere.
    #[serde(deserialize_with = "list::deserialize")]
    pub allowed_hosts: Vec<HostPattern>,
    /// Origins of other sites whose pages may read the API and send state-changing requests; of apps as well
    /// (`capacitor://localhost`). Default: none.
    #[serde(deserialize_with = "list::deserialize")]
    pub allowed_origins: Vec<String>,
    /// Whether these pages may send cookies and other credentials. Default: false.
    pub allow_credentials: bool,
    /// Header fields that these pages may send beside `Content-Type`, `Authorization` and `If-None-Match`; `*` allows all.
    /// Default: those that tracing libraries add to requests (`traceparent`, `baggage`, `sentry-trace`, `x-datadog-…`).
    #[serde(deserialize_with = "list::deserialize")]
    pub allowed_headers: Vec<String>,
    /// Proxies whose `X-Forwarded-For` is believed, or where there is none `Forwarded`: addresses or networks
    /// (`10.0.0.0/8`). They have to add to the header or replace it, and the limits for each address are not for them.
    /// Default: none.
    #[serde(deserialize_with = "list::deserialize")]
    pub trusted_proxies: Vec<Network>,
    /// Token that unlocks the cleanup steps that are opted in; at least 16 characters. Default: none, which locks them.
    pub admin_token: Option<Secret>,
    /// Folder from which the operations page is served instead of the embedded one. Default: none.
    pub www: Option<PathBuf>,
    /// Open connections, streams included, 1 to 1,000,000. Default: 25,000.
    pub max_connections: u32,
    /// Of them from one address (IPv6: one /64), 1 to 1,000,000, and never more than three quarters of `max_connections`;
    /// the next closes the one that has been idle for longest, or is refused. Not for `trusted_proxies`. Default: 4,000.
    pub max_connections_per_address: u32,
    /// Bytes of a request's body, up to 64 MiB. Default: 1 MiB.
    pub max_body_bytes: u32,
    /// Bytes of a request's head (names and values), 1 KiB to 256 KiB. Default: 16 KiB.
    pub max_header_bytes: u32,
    /// How long a request's head may take to arrive, from its first byte or, for a connection's first, from its beginning.
    /// Default: 10 s.
    #[serde(with = "duration")]
    pub header_timeout: Duration,
    /// How long a connection may idle between two requests. Longer than the proxies in front keep theirs (60 s or 75 s are
    /// usual), or they send requests into connections that are being closed. Default: 90 s.
    #[serde(with = "duration")]
    pub keep_alive_timeout: Duration,
    /// How long a request's body may take to arrive, up to 64 KiB, 1 s to 1 h; of a larger one, or one whose length is not
    /// announced, how long the next piece may take. For gated routes; until a small body is there, it takes no permit.
    /// Default: 30 s.
    #[serde(with = "duration")]
    pub body_timeout: Duration,
    /// How long a response's head may take. Longer than `pool.timeout`, or nobody learns why. Default: 60 s.
    #[serde(with = "duration")]
    pub request_timeout: Duration,
    /// How long a client may take nothing of what is sent to it, an event stream's included, before its connection is closed.
    /// Default: 30 s.
    #[serde(with = "duration")]
    pub write_timeout: Duration,
    /// How long a shutdown goes on as before, but for `/readyz`, which answers 503: until balancers have noticed, up to
    /// 10 min. Default: 0 s.
    #[serde(with = "duration")]
    pub drain_delay: Duration,
    /// How long a shutdown then waits for requests to end, and for connections to the database to come back. Default: 8 s;
    /// containers are killed after 10 s unless they are given longer.
    #[serde(with = "duration")]
    pub drain_timeout: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 8000)),
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

/// `database.*`: where the data is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseSettings {
    /// `postgres://…` or `sqlite://…`; `DATABASE_URL` is read too. Needed, except in demo mode and to watch.
    pub url: Option<DatabaseUrl>,
    /// The first part of the name that PostgreSQL shows for each connection (`application_name`), up to 40 letters,
    /// digits, `-`, `_` and `.`. The second, after a colon, is random and tells this process from its replicas: a
    /// cleanup ends only what carries both. Default: `poolgate`.
    pub application_name: String,
    /// Whether a PgBouncer in transaction mode is in between: queries then run in transactions of their own, and the
    /// settings below are left to the roles on the server (`ALTER ROLE app SET statement_timeout = …`). PgBouncer needs
    /// `ignore_startup_parameters = extra_float_digits`. Default: false.
    pub pgbouncer: bool,
    /// Longest time for a statement on PostgreSQL, up to 24 h; 0 s leaves it to the server, as for the next three.
    /// Default: 60 s, when nobody waits for the answer any more.
    #[serde(with = "duration")]
    pub statement_timeout: Duration,
    /// Longest wait for a lock on PostgreSQL, up to 24 h. Default: 10 s.
    #[serde(with = "duration")]
    pub lock_timeout: Duration,
    /// Longest time for a transaction to do nothing before PostgreSQL ends its session, up to 24 h. Default: 60 s.
    #[serde(with = "duration")]
    pub idle_in_transaction_timeout: Duration,
    /// How often PostgreSQL 14 and newer looks, while it runs a statement, whether anybody is left to take the answer, up
    /// to 1 h. A server on Windows refuses anything but 0 s. Default: 5 s.
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
    /// Connections that are kept, 1 to 10,000. Default: 20.
    pub size: u32,
    /// Connections that may be opened on top under load, up to 10,000. Default: 10.
    pub max_overflow: u32,
    /// Connections to have idle, beside those in use, before anyone asks for them, 0 to `pool.size`, as long as no more than
    /// that are open. They are opened before `/readyz` says ready, for at most 10 s, and again after every loss. Default:
    /// `pool.size`, so that a start, a failover and a burst find a connection; 0 opens what requests wait for.
    pub min_idle: Option<u32>,
    /// How long a caller waits for a connection. Default: 30 s.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// How long opening one connection may take. Default: 5 s.
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
    /// Connections being opened at the same time at the most, 1 to 100: four at first, one more with each that succeeds, one
    /// alone after a failure. Default: 16.
    pub max_connecting: u32,
    /// Connections opened a second on average, beyond a first fill, 1 to 10,000. Default: 20.
    pub connect_rate: u32,
    /// Age at which a connection is replaced, up to 24 h; shortened by up to a quarter at random. 0 s: never. Default: 30 min.
    #[serde(with = "duration")]
    pub max_lifetime: Duration,
    /// When the session of a connection that comes back is put back to what it was at the start. Default: auto.
    pub reset: PoolReset,
    /// Idle time after which a connection is tested before it is used. Default: 1 s.
    #[serde(with = "duration")]
    pub pre_ping_idle: Duration,
    /// Which idle connection is used first. Default: the one used last, so that the others can be closed.
    pub order: PoolOrder,
}

/// Which idle connection is used first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolOrder {
    /// The one used last.
    #[default]
    Lifo,
    /// The one unused for longest.
    Fifo,
}

/// When the session of a connection that comes back is put back to what it was at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolReset {
    /// When a statement left something in it, or nobody can tell.
    #[default]
    Auto,
    /// Each time: a round trip in the background.
    Always,
    /// Never: what one user sets, the next one finds.
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
    /// Requests in flight, 1 to 10,000. Default: 25.
    pub max_concurrent_requests: u32,
    /// How long a request waits to be let in, up to 1 min. Default: 500 ms.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Requests that wait, up to 100,000; the next is rejected at once. Default: 100.
    pub max_queue: u32,
    /// Who is let in first, and when waiting is given up early. Default: adaptive.
    pub order: QueueOrder,
    /// Clients that count at one address, 1 to 1,000,000, for its share of the permits while others wait. Default: 16.
    pub max_clients_per_address: u32,
}

/// In which order waiting requests of one priority are let in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueOrder {
    /// First come, first served, until the queue does not drain any more; then light callers and the newest first, and
    /// those that have waited long are rejected early. See [`poolgate_control::gate`].
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
        }
    }
}

/// `monitor.*`: watching the database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MonitorSettings {
    /// How often the log mentions a pool that stays nearly full, 1 s to 1 h. Default: 30 s. The database is asked for a
    /// sign of life as often, but at least every 5 s, and every second while it is in doubt.
    #[serde(with = "duration")]
    pub interval: Duration,
    /// For how long nobody must have been able to use the database before `/readyz` answers 503, so that a balancer sends
    /// requests to a replica that still reaches it; up to 1 h. `"0s"`: never, for a server without replicas. Default: 10 s.
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
    /// Whether clients are told to slow down. `false` measures and alerts only: the config stays NORMAL. Default: true.
    pub clients: bool,
}

impl Default for ControlSettings {
    fn default() -> Self {
        Self { tick: Duration::from_millis(100), clients: true }
    }
}

/// `thresholds.*`: pool usage, in percent, at which alerts are raised; rising, each above 0 and up to 100.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ThresholdSettings {
    /// Alert of severity info, and health DEGRADED. Default: 70.
    pub info: f64,
    /// Alert of severity warning. Default: 80.
    pub warning: f64,
    /// Alert of severity critical, and health CRITICAL above it. Default: 90.
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
    /// Streams open at the same time, 1 to 1,000,000; the next gets 503. Default: 20,000.
    pub max_streams: u32,
    /// Of them from one address (IPv6: one /64), 1 to 1,000,000, and never more than half of `server.max_connections`; the
    /// next gets 503 and polls. Behind a proxy that is not in `server.trusted_proxies` all clients are one address.
    /// Default: 1,000.
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
    /// Whether the pool opens connections ahead of demand and grows beyond `pool.size`, the gate with it, as a forecast
    /// of the requests says, and slowly shrinks back. Default: false.
    pub predictive: bool,
    /// The largest size that it grows to, `pool.size` to 10,000; `pool.max_overflow` comes on top. Never more than the
    /// database server has room for: nine tenths of what it allows, divided by `replicas`, and of what is free.
    /// Default: 40.
    pub ceiling: u32,
    /// How far ahead is looked, 1 s to 5 min. Default: 10 s.
    #[serde(with = "duration")]
    pub horizon: Duration,
    /// Servers like this one on the same database, 1 to 10,000. Default: 1.
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
    /// Whether the shop and lab routes are served, with data of their own. Default: false.
    pub enabled: bool,
}
