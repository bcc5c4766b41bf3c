//! The handle that ties pool, gate, monitor and routes together.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::Router;
use jiff::Timestamp;
use poolgate_control::{self as control, Controller};
use poolgate_pool::Drained;
use poolgate_types::{Backend, ConfigVersion, Status, ThrottlingConfig};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    clients::Registry,
    gate::{Core, Gate},
    http,
    monitor::{self, ConfigDocument, StatusDocument, cleanup::Cleaner, contact::ContactWatch, server_room::ServerRoom},
    observer::PoolObserver,
    readiness::Readiness,
    settings::{Policy, Settings},
    shared::Shared,
    telemetry::{MetricsRenderer, names},
    watched::{Demand, WatchedPool},
};

/// A running Poolgate. Clones are handles to the same one; it stops when the last is dropped, or at
/// [`shutdown`](Self::shutdown).
#[derive(Clone, Debug)]
pub struct Poolgate {
    shared: Arc<Shared>,
    _running: Arc<DropGuard>,
}

/// Collects what a [`Poolgate`] needs.
#[derive(Debug)]
#[must_use = "nothing runs until `start`"]
pub struct Builder {
    pool: Arc<dyn WatchedPool>,
    settings: Settings,
    backend: Option<Backend>,
    metrics: Option<MetricsRenderer>,
}

impl Poolgate {
    /// Begins to describe a Poolgate for this pool.
    pub fn builder(pool: impl WatchedPool) -> Builder {
        let backend = pool.backend();
        Builder { pool: Arc::new(pool), settings: Settings::default(), backend, metrics: None }
    }

    /// The gate, as a layer for the routes that use the database. All its clones share the same permits.
    pub fn gate(&self) -> Gate {
        Gate::with_core(Arc::clone(&self.shared.gate))
    }

    /// The health routes, to be merged into an app's router; they are not gated and have no fallback.
    pub fn routes(&self) -> Router {
        http::routes(self)
    }

    /// The config in force.
    pub fn config(&self) -> ThrottlingConfig {
        self.shared.config().config.clone()
    }

    /// The newest status.
    pub fn status(&self) -> Status {
        self.shared.status().status.clone()
    }

    /// The settings it runs with.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// What `/readyz` answers; start-up work can hold it back.
    pub fn readiness(&self) -> &Readiness {
        &self.shared.readiness
    }

    /// Cancelled when the shutdown begins: what runs beside the requests (streams, load) must end then.
    pub fn closing(&self) -> &CancellationToken {
        &self.shared.closing
    }

    /// Announces the shutdown: `/readyz` answers 503 from now on, and all else goes on as before.
    pub fn announce_shutdown(&self) {
        self.shared.readiness.draining();
    }

    /// Begins the shutdown: `/readyz` answers 503, event streams end with a `bye`, the monitor stops. Requests still flow.
    pub fn close(&self) {
        self.announce_shutdown();
        self.shared.closing.cancel();
    }

    /// Closes, and then drains the pool: no new connections, and those in use have until `deadline` to come back.
    pub async fn shutdown(&self, deadline: Duration) -> Drained {
        self.close();
        self.shared.pool.drain(deadline).await
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Builder {
    /// Sets the settings; [`Settings::default`] otherwise. They are taken as they are: [`Settings::load`] and
    /// [`Settings::check`] refuse what is not possible.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// The kind of database behind a pool of [`sqlx::Any`], whose type does not tell. Without it the first connection
    /// tells, and until then the status says PostgreSQL.
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = Some(backend);
        self
    }

    /// What `/metrics` answers with; 404 otherwise.
    pub fn metrics(mut self, renderer: MetricsRenderer) -> Self {
        self.metrics = Some(renderer);
        self
    }

    /// Starts the monitor, and observes the pool: an observer that the app gave to the pool's builder still gets all
    /// reports. If another Poolgate observes the pool already, this one logs a warning and shows acquire waits as unknown.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn start(self) -> Poolgate {
        let started_at = Timestamp::now();
        let epoch = u64::try_from(started_at.as_millisecond()).unwrap_or(0);
        let config = ThrottlingConfig::normal(ConfigVersion { epoch, version: 0 });
        let clients = Registry::default();
        let closing = CancellationToken::new();
        let figures = self.pool.figures();
        let gated = self.pool.demand() == Demand::Gated;
        let observer = PoolObserver::new();
        let observed = self.pool.observe(Arc::new(observer.clone()));
        names::register(observed, gated);
        let Settings { gate, server, events, cleanup, monitor, .. } = &self.settings;
        let core = Core::new(gate, server, clients.clone(), closing.clone());
        let occupancy = gated.then(|| core.occupancy());
        let status = StatusDocument::starting(&figures, self.backend, occupancy.as_ref(), started_at);
        let shared = Arc::new(Shared {
            gate: core,
            clients,
            observed,
            observer: observer.clone(),
            contact: ContactWatch::new(self.backend),
            server_room: ServerRoom::default(),
            config: watch::Sender::new(Arc::new(ConfigDocument::new(config))),
            status: watch::Sender::new(Arc::new(status)),
            cleaner: Cleaner::new(cleanup.clone()),
            connection_test: http::ConnectionTest::default(),
            guesses: http::Guesses::default(),
            streams: Arc::new(Semaphore::new(events.max_streams as usize)),
            readiness: Readiness::default(),
            metrics: self.metrics,
            closing: closing.clone(),
            started: Instant::now(),
            started_at,
            pool: self.pool,
            settings: self.settings.clone(),
        });
        let is_elsewhere = shared.pool.refresh().is_some();
        // Nobody has looked yet.
        let known = (!is_elsewhere).then_some(figures);
        tracing::info!(
            pool_size = known.map(|figures| figures.pool_size),
            max_overflow = known.map(|figures| figures.max_overflow),
            capacity = known.map(|figures| figures.capacity),
            backend = shared.contact.backend().as_str(),
            gate = gated.then_some(gate.max_concurrent_requests),
            "Poolgate started"
        );
        let seed = shared.gate.jitter().bits();
        let controller = Controller::new(control_settings(&self.settings, shared.pool().demand()), epoch, seed);
        tokio::spawn(monitor::run(Arc::clone(&shared), controller));
        if !is_elsewhere {
            let (watch, interval) = (Arc::clone(&shared), monitor.interval);
            tokio::spawn(async move { watch.contact.run(&*watch.pool, interval, &watch.closing).await });
        }
        if observed {
            observer.look_up_histograms();
            let closing = closing.clone();
            tokio::spawn(async move { closing.run_until_cancelled_owned(observer.follow_recorder()).await });
        } else if shared.pool.upkeep().is_some() {
            tracing::warn!("Another Poolgate observes this pool: this one does not see how long callers wait");
        }
        if shared.pool.upkeep().is_some() && shared.contact.backend() == Backend::Postgres {
            let watch = Arc::clone(&shared);
            tokio::spawn(async move { watch.server_room.run(&watch).await });
        }
        Poolgate { shared, _running: Arc::new(closing.drop_guard()) }
    }
}

fn control_settings(settings: &Settings, demand: Demand) -> control::Settings {
    let mut result = control::Settings::default();
    result.policy = match (settings.policy, demand) {
        (Policy::Adaptive, Demand::Hidden) => {
            tracing::warn!(
                "The watched source does not show how many requests wait: clients get fixed levels by its usage, as with \
                 policy = \"fixed\". Watch a PgBouncer (pgbouncer://…) for a rate that follows the demand"
            );
            control::Policy::Fixed
        }
        (Policy::Adaptive, Demand::Gated | Demand::Shown(_)) => control::Policy::Adaptive,
        (Policy::Fixed, _) => control::Policy::Fixed,
    };
    result.thresholds.info_percent = settings.thresholds.info;
    result.thresholds.warning_percent = settings.thresholds.warning;
    result.thresholds.critical_percent = settings.thresholds.critical;
    result
}
