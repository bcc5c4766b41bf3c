//! What crosses the wire between a Poolgate server and its clients.
//!
//! The central document is [`ThrottlingConfig`]: one, the same bytes, for every client. It reaches them by push
//! (server-sent events), as the [`ConfigHeader`] of any response, or by polling; [`ConfigVersion`] orders the copies.
//! [`Status`] is for people and dashboards, [`CleanupReport`] answers `force-cleanup`, [`Problem`] every failure.
//!
//! Beside the documents there is [`rng`], the random number generator of all crates that depend on this one: by its
//! mixing function a client knows whether it is one of those that may probe.
//!
//! No logic lives here beyond reading and writing: the decisions are made in `poolgate-control` (server) and
//! `poolgate-throttle` (client).
//!
//! ```
//! use poolgate_types::{ConfigHeader, Level};
//!
//! let header: ConfigHeader = "e=1763880000000, v=41, level=MODERATE, interval=417, concurrency=5, open=?0".parse()?;
//! assert_eq!(header.level, Level::Moderate);
//! assert_eq!(header.fair_rate_per_second().map(f64::round), Some(2.0));
//! # Ok::<(), poolgate_types::InvalidHeader>(())
//! ```

mod cleanup;
mod config;
mod header;
mod lab;
mod labels;
mod problem;
pub mod rng;
pub mod routes;
mod status;
mod stream;

pub use cleanup::{CleanupReport, CleanupTrigger};
pub use config::{ConfigVersion, Range, SixFields, ThrottlingConfig};
pub use header::{CONFIG_HEADER, ConfigHeader, InvalidHeader};
pub use lab::{LoadReport, LoadRequest, LoadState};
pub use labels::{Backend, CircuitState, Health, Level, Reason, Severity};
pub use problem::{Problem, codes};
pub use status::{Alert, AlertKind, Clients, Forecast, GateStatus, Percentiles, Performance, Ping, PoolStatus, Status};
pub use stream::{Bye, Heartbeat};
