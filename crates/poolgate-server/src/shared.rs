//! The state that a [`Poolgate`](crate::Poolgate) and its routes share.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    clients::Registry,
    gate::Core,
    history::History,
    http::{ApiDocument, ConnectionTest, Guesses},
    jitter::Jitter,
    monitor::{Published, cleanup::Cleaner},
    proxies::Proxies,
    readiness::Readiness,
    settings::Settings,
    telemetry::MetricsRenderer,
    watched::WatchedPool,
};

/// The state that a [`Poolgate`](crate::Poolgate) and its routes share, made once by
/// [`Builder::start`](crate::Builder::start). The gate and the monitor have parts of their own.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) pool: Arc<dyn WatchedPool>,
    /// Those at the start.
    pub(crate) settings: Settings,
    /// Those in force. What needs a restart is in them, too, but does not act.
    pub(crate) reloads: watch::Sender<Settings>,
    pub(crate) gate: Arc<Core>,
    pub(crate) proxies: Arc<Proxies>,
    pub(crate) clients: Registry,
    pub(crate) published: Arc<Published>,
    pub(crate) history: Arc<History>,
    pub(crate) cleaner: Arc<Cleaner>,
    pub(crate) connection_test: ConnectionTest,
    /// Wrong admin tokens.
    pub(crate) guesses: Guesses,
    /// A permit for each event stream that may be open.
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) readiness: Readiness,
    pub(crate) metrics: Option<Arc<dyn MetricsRenderer>>,
    pub(crate) openapi: ApiDocument,
    pub(crate) jitter: Arc<Jitter>,
    /// Cancelled when the shutdown begins.
    pub(crate) closing: CancellationToken,
    pub(crate) started: Instant,
}

impl Shared {
    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}
