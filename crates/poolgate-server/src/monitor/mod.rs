//! Watches the pool and drives the controller.
//!
//! One task [ticks](tick): it collects a [reading](sampler) of everything, asks the controller for a decision, gives
//! the gate its orders, and publishes one config document and one status document. Both are encoded once, and viewers
//! only ever read these. A second task [asks the database](database_watch) itself for a sign of life, and on PostgreSQL
//! a third one asks for the [server's limits](server_limits) and a fourth one ends waits on
//! [dead connections](cleanup). Nothing that a viewer does causes a query.

mod activity;
mod cause;
pub(crate) mod cleanup;
mod database_watch;
mod documents;
mod kept_connection;
mod outage;
mod performance;
mod report;
mod sampler;
mod server_limits;
mod shared_config;
mod sizing;
mod status;
mod tick;
mod warm_up;

use std::{sync::Arc, time::Instant};

use jiff::Timestamp;
use poolgate_control::{Controller, cluster::Peers};
use poolgate_types::{Backend, Level};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::{
    activity::ActivityWindow,
    cleanup::Cleaner,
    database_watch::DatabaseWatch,
    outage::Outage,
    performance::PerformanceWindow,
    report::Reporter,
    sampler::{Sampler, Sources},
    server_limits::ServerLimits,
    shared_config::SharedConfig,
    sizing::Sizing,
    status::StatusWriter,
    tick::Monitor,
    warm_up::WarmUp,
};
pub(crate) use self::{
    cause::Failure,
    documents::{ConfigDocument, Published, StatusDocument, event},
    shared_config::{is_known, unknown},
};
use crate::{
    clients::Registry,
    gate::Core,
    history::History,
    observer::PoolObserver,
    proxies::Proxies,
    readiness::Readiness,
    settings::Settings,
    telemetry::MetricsRenderer,
    upstream::Upstream,
    watched::{Visibility, WatchedPool},
};

/// What the monitor works with.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) pool: Arc<dyn WatchedPool>,
    /// The kind of database, if it is known.
    pub(crate) backend: Option<Backend>,
    pub(crate) observer: PoolObserver,
    /// Whether the pool reports to the observer.
    pub(crate) is_observed: bool,
    pub(crate) gate: Arc<Core>,
    /// The other servers in front of the same database.
    pub(crate) peers: Option<Arc<dyn Peers>>,
    /// The app behind this gateway.
    pub(crate) upstream: Option<Arc<dyn Upstream>>,
    pub(crate) clients: Registry,
    pub(crate) proxies: Arc<Proxies>,
    pub(crate) cleaner: Arc<Cleaner>,
    pub(crate) published: Arc<Published>,
    pub(crate) history: Arc<History>,
    pub(crate) readiness: Readiness,
    pub(crate) metrics: Option<Arc<dyn MetricsRenderer>>,
    /// Settings that replace those at the start.
    pub(crate) reloaded: watch::Receiver<Settings>,
    /// Cancelled when the shutdown begins.
    pub(crate) closing: CancellationToken,
    pub(crate) started: Instant,
    pub(crate) started_at: Timestamp,
}

/// Starts the monitor's tasks. Must be called in a Tokio runtime.
pub(crate) fn start(parts: Parts, settings: &Settings, controller: Controller) {
    let Parts { pool, backend, observer, gate, clients, proxies, cleaner, published, .. } = parts;
    let database = Arc::new(DatabaseWatch::new(backend));
    let server_limits = Arc::<ServerLimits>::default();
    let gated = pool.visibility() == Visibility::Gated;
    let performance = PerformanceWindow::new(parts.is_observed, gated);
    let permits = settings.gate.max_concurrent_requests;
    let floor = pool.figures().pool_size;
    let whole = settings.cluster.is_on().then(|| settings.pool.size.saturating_add(settings.pool.max_overflow));
    let shared = parts.peers.map(|peers| {
        SharedConfig::new(peers, clients.clone(), parts.readiness.wait_for("the config of the other replicas"))
    });
    let sources = Sources {
        pool: Arc::clone(&pool),
        gate: Arc::clone(&gate),
        observer: observer.clone(),
        database: Arc::clone(&database),
        clients: clients.clone(),
        proxies,
    };
    let monitor = Monitor {
        sampler: Sampler::new(sources, settings.control.tick),
        controller,
        shared,
        reporter: Reporter::new(settings.monitor.interval, settings.thresholds.critical),
        performance,
        activity: ActivityWindow::new(parts.is_observed),
        clients,
        sizing: Sizing::new(settings.sizing.clone(), floor, permits, whole, Arc::clone(&server_limits)),
        status: StatusWriter {
            pool: Arc::clone(&pool),
            gate: Arc::clone(&gate),
            cleaner: Arc::clone(&cleaner),
            upstream: parts.upstream,
            started_at: parts.started_at,
            thresholds: documents::usage_thresholds(&settings.thresholds),
            level: (Level::Normal, parts.started_at),
        },
        warm_up: WarmUp::new(&parts.readiness),
        outage: Outage::new(parts.readiness, settings.monitor.unready_after),
        pool: Arc::clone(&pool),
        gate,
        database: Arc::clone(&database),
        cleaner: Arc::clone(&cleaner),
        published,
        history: parts.history,
        metrics: parts.metrics,
        reloaded: parts.reloaded,
        closing: parts.closing.clone(),
        started: parts.started,
    };
    tokio::spawn(monitor.run(settings.control.tick));

    if parts.is_observed {
        observer.look_up_histograms();
        let closing = parts.closing.clone();
        tokio::spawn(async move { closing.run_until_cancelled_owned(observer.follow_recorder()).await });
    }
    if pool.upkeep().is_some() && database.backend() == Backend::Postgres {
        let (limited, closing, sizing) = (Arc::clone(&pool), parts.closing.clone(), settings.sizing.clone());
        tokio::spawn(async move { server_limits.run(&*limited, &sizing, &closing).await });
        let (held, database, closing) = (Arc::clone(&pool), Arc::clone(&database), parts.closing.clone());
        tokio::spawn(async move { cleaner.end_lost(&*held, || database.is_answered(), &closing).await });
    }
    // A source that is read anew at each tick gives a sign of life by that.
    if pool.refresh().is_none() {
        let (closing, interval) = (parts.closing, settings.monitor.interval);
        tokio::spawn(async move { database.run(&*pool, interval, &closing).await });
    }
}
