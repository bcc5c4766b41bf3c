//! `server.*`: the HTTP server.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::{HostPattern, Network, Secret, duration, list, socket};

/// `server.*`: the HTTP server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DocumentedFields)]
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
    /// Writes a line about each request to stdout when its answer has been sent: `json` (with the waits for the gate and for a
    /// connection, and an id that the app and the client get as `X-Request-Id`), `combined` (Apache's format) or `off`.
    /// Probes, `/metrics` and a gateway's `server.admin_bind` are left out. Default: off.
    pub access_log: AccessLog,
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

/// Which lines `server.access_log` writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessLog {
    /// None.
    #[default]
    Off,
    /// An object for each request.
    Json,
    /// Apache's combined format.
    Combined,
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
            access_log: AccessLog::default(),
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
