//! The history document: what was, for those who look after it happened.

use serde::{Deserialize, Serialize};

use crate::{CircuitState, Level};

/// The last minutes or hours, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct History {
    /// Seconds from one sample to the next. Where the server could not sample, samples are missing.
    pub step_seconds: u32,
    /// The samples.
    pub samples: Vec<HistorySample>,
    /// What happened in the same time.
    pub events: Vec<HistoryEvent>,
}

/// One step: the worst moment in it of levels, gauges and waits, and the mean of rates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HistorySample {
    /// The beginning of the step, RFC 3339 in UTC.
    pub at: String,
    /// How strongly clients were limited.
    pub throttling_level: Level,
    /// State of the circuit breaker.
    pub circuit_breaker: CircuitState,
    /// Connections in use.
    pub checked_out: u32,
    /// Open connections, in use or not.
    pub open: u32,
    /// Connections that may exist.
    pub capacity: u32,
    /// Requests that wait for a permit or a connection; null where the source does not report them.
    pub waiting: Option<u32>,
    /// 95th percentile of the wait for a connection over the minute before, in milliseconds; null where it is not measured.
    pub acquire_wait_p95_ms: Option<f64>,
    /// 99th percentile of the same.
    pub acquire_wait_p99_ms: Option<f64>,
    /// Requests per second that the gate admitted; null without a gate, as for the next three.
    pub admitted_per_second: Option<f64>,
    /// Requests per second that the gate rejected, those over a quota included.
    pub rejected_per_second: Option<f64>,
    /// Admitted requests per second that were answered, and not with 5xx.
    pub succeeded_per_second: Option<f64>,
    /// Admitted requests per second that were answered with 5xx, or given up by their client after 5 s without an
    /// answer.
    pub failed_per_second: Option<f64>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HistoryEvent {
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// What it was.
    pub kind: HistoryEventKind,
    /// What was before, and what is after it (`NORMAL`, `open`, `warning`); null where nothing has the word.
    pub from: Option<String>,
    /// As `from`, after it.
    pub to: Option<String>,
    /// The reason, or what happened, in words.
    pub text: String,
}

/// The kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum HistoryEventKind {
    /// The server was started; the history begins.
    Started,
    /// The throttling level changed.
    Level,
    /// The health changed.
    Health,
    /// The circuit breaker changed.
    Breaker,
    /// An alert was raised (`to` is its severity) or ended (`to` is null).
    Alert,
    /// The gate was made wider or narrower.
    Gate,
    /// A cleanup of the pool ended.
    Cleanup,
}
