//! The published documents: config and status, each encoded once for all readers.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::body::Bytes;
use http::HeaderValue;
use jiff::Timestamp;
use poolgate_control::{DatabaseUse, gate::Occupancy};
use poolgate_types::{
    Activity, Backend, CircuitState, Clients, GateStatus, Health, Level, PoolStatus, Status, ThrottlingConfig,
    UsageThresholds,
};
use serde::Serialize;
use tokio::sync::watch;

use super::{performance, shared_config::is_known};
use crate::{gate::Totals, settings::ThresholdSettings, watched::Figures};

/// The documents in force. The senders keep them for readers, and wake the streams.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) config: watch::Sender<Arc<ConfigDocument>>,
    pub(crate) status: watch::Sender<Arc<StatusDocument>>,
    /// As JSON.
    activity: ArcSwap<Bytes>,
}

/// The config, ready to send.
#[derive(Debug)]
pub(crate) struct ConfigDocument {
    /// The config itself.
    pub(crate) config: ThrottlingConfig,
    /// As JSON.
    pub(crate) json: Bytes,
    /// Strong, with its quotes.
    pub(crate) etag: HeaderValue,
    /// As a server-sent event.
    pub(crate) event: Bytes,
}

/// The status, ready to send.
#[derive(Debug)]
pub(crate) struct StatusDocument {
    /// The status itself.
    pub(crate) status: Status,
    /// As JSON.
    pub(crate) json: Bytes,
    /// As a server-sent event.
    pub(crate) event: Bytes,
    /// What is wrong, while the database cannot be used.
    pub(crate) trouble: Option<String>,
}

impl Published {
    pub(crate) fn new(config: ConfigDocument, status: StatusDocument) -> Self {
        Self {
            config: watch::Sender::new(Arc::new(config)),
            status: watch::Sender::new(Arc::new(status)),
            activity: ArcSwap::from_pointee(encode(&Activity::default())),
        }
    }

    /// The newest activity, as JSON.
    pub(crate) fn activity(&self) -> Bytes {
        Bytes::clone(&self.activity.load())
    }

    pub(super) fn set_activity(&self, activity: &Activity) {
        self.activity.store(Arc::new(encode(activity)));
    }

    /// The config in force.
    pub(crate) fn config(&self) -> Arc<ConfigDocument> {
        Arc::clone(&self.config.borrow())
    }

    /// The newest status.
    pub(crate) fn status(&self) -> Arc<StatusDocument> {
        Arc::clone(&self.status.borrow())
    }
}

impl ConfigDocument {
    /// Whether clients can be told: a server that shares its config with others may not have heard them yet.
    pub(crate) fn is_known(&self) -> bool {
        is_known(&self.config)
    }

    pub(crate) fn new(config: ThrottlingConfig) -> Self {
        let json = encode(&config);
        Self {
            etag: HeaderValue::try_from(format!("\"{}\"", config.etag())).unwrap_or(HeaderValue::from_static("\"\"")),
            event: frame("config", &json),
            json,
            config,
        }
    }
}

impl StatusDocument {
    pub(crate) fn new(status: Status, trouble: Option<String>) -> Self {
        let json = encode(&status);
        Self { event: frame("status", &json), json, status, trouble }
    }

    /// The status before the first tick; `gate` if requests pass one.
    pub(crate) fn starting(
        figures: &Figures,
        backend: Option<Backend>,
        gate: Option<&Occupancy>,
        thresholds: &ThresholdSettings,
        at: Timestamp,
    ) -> Self {
        let status = Status {
            health: Health::Healthy,
            throttling_level: Level::Normal,
            level_since: at.to_string(),
            emergency_mode_active: false,
            circuit_breaker: CircuitState::Closed,
            pool: pool_status(figures, backend.unwrap_or(Backend::Postgres)),
            gate: gate.map(|occupancy| gate_status(occupancy, &Totals::default(), None, DatabaseUse::default())),
            performance: performance::nothing_yet(gate.is_some()),
            clients: Clients::default(),
            last_cleanup: None,
            alerts: Vec::new(),
            forecast: None,
            cluster: None,
            gateway: None,
            fair_rate_per_second: None,
            config_version: 0,
            thresholds: usage_thresholds(thresholds),
            server_version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: at.to_string(),
            sampled_at: at.to_string(),
        };
        Self::new(status, None)
    }
}

/// The pool's part of a status.
pub(super) fn pool_status(figures: &Figures, backend: Backend) -> PoolStatus {
    PoolStatus {
        backend,
        pool_size: figures.pool_size,
        max_overflow: figures.max_overflow,
        capacity: figures.capacity,
        checked_out: figures.checked_out,
        idle: figures.idle,
        overflow: figures.overflow(),
        connecting: figures.connecting,
        available: figures.available(),
        waiting: figures.waiting,
        usage_percent: percent(figures.checked_out, figures.capacity),
        generation: figures.generation,
        oldest_checkout_seconds: figures.oldest_checkout.map(|age| age.as_secs_f64()),
    }
}

/// The gate's part of a status.
pub(super) fn gate_status(
    occupancy: &Occupancy,
    totals: &Totals,
    unanswered: Option<Duration>,
    database_use: DatabaseUse,
) -> GateStatus {
    GateStatus {
        max_concurrent_requests: occupancy.permits,
        in_flight: occupancy.in_flight,
        waiting: occupancy.queued,
        usage_percent: percent(occupancy.in_flight, occupancy.permits),
        admitted_total: totals.admitted,
        rejected_total: totals.rejected + totals.over_quota,
        succeeded_total: totals.succeeded,
        failed_total: totals.failed(),
        unanswered_seconds: unanswered.map(|time| time.as_secs_f64()),
        connections_per_request: database_use.connections_per_request,
        transactions_per_request: database_use.transactions_per_request,
        bypass_candidates: Vec::new(),
    }
}

pub(super) fn usage_thresholds(settings: &ThresholdSettings) -> UsageThresholds {
    UsageThresholds {
        info_percent: settings.info,
        warning_percent: settings.warning,
        critical_percent: settings.critical,
    }
}

fn percent(part: u32, whole: u32) -> f64 {
    f64::from(part) / f64::from(whole.max(1)) * 100.0
}

fn encode(document: &impl Serialize) -> Bytes {
    // These types hold only strings, numbers and enums, which can always be encoded.
    serde_json::to_vec(document).unwrap_or_default().into()
}

/// A server-sent event.
pub(crate) fn event(name: &str, document: &impl Serialize) -> Bytes {
    frame(name, &encode(document))
}

fn frame(name: &str, json: &Bytes) -> Bytes {
    // JSON from serde_json is one line, as a `data:` field must be.
    [b"event: ", name.as_bytes(), b"\ndata: ", json, b"\n\n"].concat().into()
}
