//! The wire types that a Poolgate server and its clients exchange.
//!
//! The central document is [`ThrottlingConfig`]. All clients receive the same bytes: by push (server-sent events), as
//! the [`ConfigHeader`] of a response, or by polling. [`ConfigVersion`] orders the copies. [`Status`] serves people and
//! dashboards, [`CleanupReport`] answers `force-cleanup`, and [`Problem`] describes every failure.
//!
//! Beside the documents there is [`rng`], the random number generator of all crates that depend on this one: its mixing
//! function tells a client whether it is one of those that may probe.
//!
//! This crate only reads and writes. The decisions are made in `poolgate-control` (server) and `poolgate-throttle`
//! (client).
//!
//! ```
//! use poolgate_types::{ConfigHeader, Level};
//!
//! let header: ConfigHeader = "e=1763880000000, v=41, level=MODERATE, interval=417, concurrency=5, open=?0".parse()?;
//! assert_eq!(header.level, Level::Moderate);
//! assert_eq!(header.fair_rate_per_second().map(f64::round), Some(2.0));
//! # Ok::<(), poolgate_types::InvalidHeader>(())
//! ```

mod activity;
mod cleanup;
mod cluster;
mod config;
mod gateway;
mod header;
mod history;
mod labels;
mod priority;
mod problem;
pub mod rng;
pub mod routes;
mod status;
mod stream;
pub mod timing;

pub use activity::{Activity, ClientActivity, LeaseActivity, RouteActivity};
pub use cleanup::{CleanupReport, CleanupTrigger};
pub use cluster::{ClusterMember, ClusterStatus, ConfigSource, MemberState};
pub use config::{ConfigVersion, Range, SixFields, ThrottlingConfig};
pub use gateway::{GatewayStatus, UpstreamFailure};
pub use header::{CONFIG_HEADER, ConfigHeader, InvalidHeader};
pub use history::{History, HistoryEvent, HistoryEventKind, HistorySample};
pub use labels::{Backend, CircuitState, Health, Level, Reason, Severity};
pub use priority::Priority;
pub use problem::{Problem, codes};
pub use status::{
    Alert, AlertKind, Clients, Forecast, GateStatus, Percentiles, Performance, Ping, PoolStatus, Status,
    UsageThresholds,
};
pub use stream::{Bye, Heartbeat};
