//! What an operator can set: plain structs with defaults, and [`Settings::check`] for the ranges.
//!
//! An app changes fields of [`Settings::default`] or reads them with serde. The `poolgate` program reads them from a file,
//! the environment and flags.

mod alerts;
mod check;
mod cleanup;
mod cluster;
mod cluster_store;
mod control;
mod database;
mod duration;
mod events;
mod explanation;
mod gate;
mod haproxy_agent;
mod host;
mod list;
pub mod mask;
mod metric;
mod monitor;
mod network;
mod origin;
mod otlp;
mod pool;
mod reload;
mod scheme;
mod secret;
mod server;
mod sizing;
mod socket;
mod upstream;
mod watch;

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

pub use self::{
    alerts::{AlertFormat, AlertSettings},
    check::InvalidValue,
    cleanup::CleanupSettings,
    cluster::ClusterSettings,
    cluster_store::{ClusterStore, InvalidClusterStore, NatsUrl},
    control::{ControlSettings, Policy, ThresholdSettings},
    database::DatabaseSettings,
    events::EventSettings,
    explanation::{Section, sections},
    gate::{GateSettings, QueueOrder},
    haproxy_agent::HaProxyAgentSettings,
    host::{HostPattern, InvalidHostPattern},
    metric::{InvalidMetricSelector, MetricSelector},
    monitor::MonitorSettings,
    network::{InvalidNetwork, Network},
    otlp::OtlpSettings,
    pool::{PoolOrder, PoolReset, PoolSettings},
    secret::{DatabaseUrl, Secret},
    server::{AccessLog, ServerSettings},
    sizing::SizingSettings,
    upstream::{GatewaySettings, InvalidUpstreamUrl, OnAbort, UpstreamSettings, UpstreamUrl},
    watch::{
        HaProxyAddress, HaProxySocket, InvalidWatchUrl, MetricNames, MetricsAddress, WatchSettings, WatchTarget,
        WatchUrl,
    },
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How clients are limited when connections are scarce: `adaptive`, a fair rate; or `fixed`, four rows selected by
    /// the pool's usage. Default: adaptive.
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
    /// Telling HAProxy how many requests its servers may have in progress.
    pub haproxy_agent: HaProxyAgentSettings,
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
    /// Who is told of Poolgate's own alerts.
    pub alerts: AlertSettings,
    /// The event stream.
    pub events: EventSettings,
    /// Cleaning up the pool.
    pub cleanup: CleanupSettings,
    /// Growing the pool ahead of demand.
    pub sizing: SizingSettings,
    /// Sharing the database with other replicas.
    pub cluster: ClusterSettings,
    /// Traces of requests for an OpenTelemetry collector.
    pub otlp: OtlpSettings,
    /// The sample app.
    pub demo: DemoSettings,
}

/// `demo.*`: the sample app.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct DemoSettings {
    /// Whether the shop and lab routes are served with their own data. Default: false.
    pub enabled: bool,
}
