//! The handle that ties pool, gate, monitor and routes together.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use ::http::{Extensions, HeaderMap};
use axum::Router;
use jiff::Timestamp;
use poolgate_control::{
    self as control, Controller,
    cluster::{Peers, SharedLaw},
    gate::GateOrders,
};
use poolgate_pool::Drained;
use poolgate_types::{Backend, ConfigVersion, Status, ThrottlingConfig};
use serde_json::Value;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    clients::Registry,
    gate::{Core, Gate, Surroundings},
    history::History,
    http,
    jitter::Jitter,
    monitor::{self, ConfigDocument, Parts, Published, StatusDocument, cleanup::Cleaner},
    observer::PoolObserver,
    proxies::Proxies,
    readiness::Readiness,
    settings::{Policy, Settings},
    shared::Shared,
    telemetry::{MetricsRenderer, names},
    upstream::Upstream,
    watched::{Visibility, WatchedPool},
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
    metrics: Option<Arc<dyn MetricsRenderer>>,
    peers: Option<Arc<dyn Peers>>,
    upstream: Option<Arc<dyn Upstream>>,
    openapi: Value,
}

impl Poolgate {
    /// Begins to describe a Poolgate for this pool.
    pub fn builder(pool: impl WatchedPool) -> Builder {
        let backend = pool.backend();
        let (pool, settings) = (Arc::new(pool), Settings::default());
        Builder { pool, settings, backend, metrics: None, peers: None, upstream: None, openapi: Value::Null }
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
        self.shared.published.config().config.clone()
    }

    /// The newest status.
    pub fn status(&self) -> Status {
        self.shared.published.status().status.clone()
    }

    /// The settings it runs with.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Takes over what can change while it runs: the gate's permits, queue and timeout, the thresholds, and the trusted
    /// proxies. Returns the keys of those that differ from the settings in force and need a restart. The settings must have
    /// been [checked](Settings::check).
    pub fn reload(&self, settings: &Settings) -> Vec<String> {
        let Shared { reloads, gate, proxies, .. } = &*self.shared;
        let needs_restart = settings.needing_restart(&reloads.borrow());
        gate.set_queue(&settings.gate);
        proxies.trust(settings.server.trusted_proxies.clone());
        reloads.send_replace(settings.clone());
        names::reloaded(true);
        needs_restart
    }

    /// Counts a reload whose settings were wrong.
    pub fn reload_failed(&self) {
        names::reloaded(false);
    }

    /// What `/readyz` answers; start-up work can hold it back.
    pub fn readiness(&self) -> &Readiness {
        &self.shared.readiness
    }

    /// The address of a request's sender, as far as `server.trusted_proxies` may say so. `None`: the server does not pass on
    /// the peer's address.
    pub fn sender(&self, extensions: &Extensions, headers: &HeaderMap) -> Option<IpAddr> {
        self.shared.proxies.sender_address(extensions, headers)
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
    /// Sets the settings. Default: [`Settings::default`]. They are not checked here: call [`Settings::check`] first.
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

    /// Sets what renders the metrics for `/metrics`. Without it the route answers 404.
    pub fn metrics(mut self, renderer: impl MetricsRenderer) -> Self {
        self.metrics = Some(Arc::new(renderer));
        self
    }

    /// Serves one config with the other servers in front of the same database. Default: alone.
    pub fn peers(mut self, peers: impl Peers) -> Self {
        self.peers = Some(Arc::new(peers));
        self
    }

    /// Shows the app behind this gateway in the status. Default: there is none.
    pub fn upstream(mut self, upstream: impl Upstream) -> Self {
        self.upstream = Some(Arc::new(upstream));
        self
    }

    /// Adds the `paths` and `components` of the app's own OpenAPI document to that of `/api/v1/openapi.json`. Operations with
    /// the tag [`GATED_TAG`](crate::GATED_TAG) get the gate's answers, and each operation the failures that
    /// [`app`](crate::app) answers.
    pub fn openapi(mut self, document: Value) -> Self {
        self.openapi = document;
        self
    }

    /// Starts the monitor, and observes the pool: an observer that the app gave to the pool's builder still gets all
    /// reports. If another Poolgate observes the pool already, this one logs a warning and shows acquire waits as unknown.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn start(self) -> Poolgate {
        let Self { pool, settings, backend, metrics, peers, upstream, openapi } = self;
        let (started, started_at) = (Instant::now(), Timestamp::now());
        let epoch = u64::try_from(started_at.as_millisecond()).unwrap_or(0);
        let closing = CancellationToken::new();
        let clients = Registry::default();
        let proxies = Arc::new(Proxies::new(settings.server.trusted_proxies.clone()));
        let jitter = Arc::new(Jitter::new());
        let cleaner = Arc::new(Cleaner::new(settings.cleanup.clone()));
        let readiness = Readiness::default();
        let surroundings = Surroundings {
            proxies: Arc::clone(&proxies),
            clients: clients.clone(),
            jitter: Arc::clone(&jitter),
            body_timeout: settings.server.body_timeout,
            closing: closing.clone(),
        };
        let gate = Core::new(&settings.gate, surroundings);
        let (visibility, figures) = (pool.visibility(), pool.figures());
        let occupancy = (visibility == Visibility::Gated).then(|| gate.occupancy());
        let config = match &peers {
            Some(_) => monitor::unknown(),
            None => ThrottlingConfig::normal(ConfigVersion { epoch, version: 0 }),
        };
        let status = StatusDocument::starting(&figures, backend, occupancy.as_ref(), &settings.thresholds, started_at);
        let history = Arc::new(History::new(started_at));
        let published = Arc::new(Published::new(ConfigDocument::new(config), status));

        let observer = PoolObserver::new(Arc::clone(gate.route_figures()));
        let is_observed = pool.observe(Arc::new(observer.clone()));
        if !is_observed && pool.upkeep().is_some() {
            tracing::warn!("Another Poolgate observes this pool: this one does not see how long callers wait");
        }
        names::register(is_observed, occupancy.is_some());
        if peers.is_some() {
            names::register_cluster();
        }
        // A source elsewhere has not been read yet.
        let known = pool.refresh().is_none().then_some(figures);
        tracing::info!(
            pool_size = known.map(|figures| figures.pool_size),
            max_overflow = known.map(|figures| figures.max_overflow),
            capacity = known.map(|figures| figures.capacity),
            backend = backend.unwrap_or(Backend::Postgres).as_str(),
            gate = occupancy.map(|occupancy| occupancy.permits),
            "Poolgate started"
        );
        let reloads = watch::Sender::new(settings.clone());
        let (law, seed) = (control_settings(&settings, visibility), jitter.bits());
        let controller = match &peers {
            Some(peers) => {
                peers.begin(law.clone(), epoch, seed);
                gate.obey(&monitor::unknown(), &GateOrders::default());
                SharedLaw::alone(law, epoch, seed)
            }
            None => Controller::new(law, epoch, seed),
        };
        let parts = Parts {
            pool: Arc::clone(&pool),
            backend,
            observer,
            is_observed,
            gate: Arc::clone(&gate),
            peers,
            upstream,
            clients: clients.clone(),
            proxies: Arc::clone(&proxies),
            cleaner: Arc::clone(&cleaner),
            published: Arc::clone(&published),
            history: Arc::clone(&history),
            readiness: readiness.clone(),
            metrics: metrics.clone(),
            reloaded: reloads.subscribe(),
            closing: closing.clone(),
            started,
            started_at,
        };
        monitor::start(parts, &settings, controller);
        let shared = Arc::new(Shared {
            connection_test: http::ConnectionTest::default(),
            guesses: http::Guesses::default(),
            openapi: http::ApiDocument::new(openapi),
            streams: Arc::new(Semaphore::new(settings.events.max_streams as usize)),
            pool,
            settings,
            reloads,
            gate,
            proxies,
            clients,
            published,
            history,
            cleaner,
            readiness,
            metrics,
            jitter,
            closing: closing.clone(),
            started,
        });
        Poolgate { shared, _running: Arc::new(closing.drop_guard()) }
    }
}

fn control_settings(settings: &Settings, visibility: Visibility) -> control::Settings {
    let mut result = control::Settings::default();
    result.policy = match (settings.policy, visibility) {
        (Policy::Adaptive, Visibility::Hidden) => {
            tracing::warn!(
                "The watched source does not report waiting requests: clients get fixed levels by its usage, as with \
                 policy = \"fixed\". Watch a PgBouncer (pgbouncer://…) for a rate that follows the demand"
            );
            control::Policy::Fixed
        }
        (Policy::Adaptive, Visibility::Gated | Visibility::Shown(_)) => control::Policy::Adaptive,
        (Policy::Fixed, _) => control::Policy::Fixed,
    };
    result.observe_only = !settings.control.clients;
    result.thresholds = (&settings.thresholds).into();
    result
}
