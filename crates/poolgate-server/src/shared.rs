//! What the monitor, the gate and the routes share.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    clients::Registry,
    gate::Core,
    http::{ApiDocument, ConnectionTest, Guesses},
    monitor::{ConfigDocument, StatusDocument, cleanup::Cleaner, contact::ContactWatch, server_room::ServerRoom},
    observer::PoolObserver,
    readiness::Readiness,
    settings::Settings,
    telemetry::MetricsRenderer,
    watched::WatchedPool,
};

/// What the monitor, the gate and the routes share: made once, by [`Builder::start`](crate::Builder::start).
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) pool: Arc<dyn WatchedPool>,
    pub(crate) settings: Settings,
    pub(crate) gate: Arc<Core>,
    pub(crate) clients: Registry,
    pub(crate) observer: PoolObserver,
    /// The pool tells the observer how long callers wait.
    pub(crate) observed: bool,
    pub(crate) contact: ContactWatch,
    pub(crate) server_room: ServerRoom,
    /// The config in force; the sender keeps it for those who read, and wakes the streams.
    pub(crate) config: watch::Sender<Arc<ConfigDocument>>,
    /// The newest status, likewise.
    pub(crate) status: watch::Sender<Arc<StatusDocument>>,
    pub(crate) cleaner: Cleaner,
    pub(crate) connection_test: ConnectionTest,
    /// Wrong admin tokens.
    pub(crate) guesses: Guesses,
    /// A permit for each event stream that may be open.
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) readiness: Readiness,
    pub(crate) metrics: Option<Arc<dyn MetricsRenderer>>,
    pub(crate) openapi: ApiDocument,
    /// Cancelled when the shutdown begins.
    pub(crate) closing: CancellationToken,
    pub(crate) started: Instant,
    pub(crate) started_at: Timestamp,
}

impl Shared {
    pub(crate) fn pool(&self) -> &dyn WatchedPool {
        &*self.pool
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn config(&self) -> Arc<ConfigDocument> {
        Arc::clone(&self.config.borrow())
    }

    pub(crate) fn status(&self) -> Arc<StatusDocument> {
        Arc::clone(&self.status.borrow())
    }
}
