//! The app as a source of figures: how much of it is in use, and whether it can be used.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use axum::body::Body;
use futures_core::future::BoxFuture;
use http::{HeaderValue, Request, header};
use poolgate_pool::ConnectHistory;
use poolgate_server::{
    Figures, Settings, Upstream, WatchedPool,
    gate::Gate,
    settings::{UpstreamSettings, UpstreamUrl},
};
use poolgate_types::{Backend, GatewayStatus};
use tokio::time;

use crate::{connections::Connections, exchanges::Exchanges, failure::Failure};

/// How long the app has for a sign of life.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time between two questions while it is in doubt, and while it is not.
const DOUBT_INTERVAL: Duration = Duration::from_secs(1);
const CALM_INTERVAL: Duration = Duration::from_secs(5);

/// The app behind the gateway. Clones are handles to the same one.
#[derive(Clone)]
pub struct App(Arc<State>);

struct State {
    url: UpstreamUrl,
    permits: AtomicU32,
    health_path: Option<String>,
    connections: Arc<Connections>,
    exchanges: Arc<Exchanges>,
    gate: OnceLock<Gate>,
    known: Mutex<Known>,
    is_asked: AtomicBool,
}

#[derive(Default)]
struct Known {
    asked: Option<Instant>,
    answered: Option<Instant>,
    failed: Option<Instant>,
    failures: u32,
    error: Option<Arc<str>>,
    /// The newest answer to any request.
    served: Option<Instant>,
}

impl App {
    /// The app of these settings; `None` where they name none.
    pub fn new(settings: &Settings) -> Option<Self> {
        let UpstreamSettings { url, health_path, .. } = &settings.upstream;
        let url = url.clone()?;
        let permits = settings.gate.max_concurrent_requests;
        Some(Self(Arc::new(State {
            connections: Connections::new(url.clone(), &settings.upstream, permits as usize),
            url,
            permits: AtomicU32::new(permits),
            exchanges: Arc::new(Exchanges::new(settings.upstream.max_streams)),
            health_path: health_path.clone(),
            gate: OnceLock::new(),
            known: Mutex::default(),
            is_asked: AtomicBool::new(false),
        })))
    }

    pub(crate) fn url(&self) -> &UpstreamUrl {
        &self.0.url
    }

    pub(crate) fn connections(&self) -> Arc<Connections> {
        Arc::clone(&self.0.connections)
    }

    pub(crate) fn exchanges(&self) -> Arc<Exchanges> {
        Arc::clone(&self.0.exchanges)
    }

    /// Its requests pass this gate.
    pub(crate) fn stands_behind(&self, gate: Gate) {
        // A second gateway to the same app passes the same gate.
        let _ = self.0.gate.set(gate);
    }

    /// Takes over what can change while it runs.
    pub(crate) fn reload(&self, settings: &Settings) {
        self.0.permits.store(settings.gate.max_concurrent_requests, Relaxed);
        self.0.connections.reload(&settings.upstream);
    }

    /// The app has answered a request; with what does not matter here.
    pub(crate) fn answered(&self) {
        let mut known = self.0.known();
        known.served = Some(Instant::now());
        if self.0.health_path.is_none() {
            known.heard();
        }
    }

    /// A request got no answer. Slowness alone does not show that the app is gone.
    pub(crate) fn is_silent(&self, failure: &Failure) {
        if self.0.health_path.is_none() && matches!(failure, Failure::Unreachable(_) | Failure::ConnectTimeout) {
            self.0.known().missed(failure);
        }
    }

    /// Asks it for a sign of life, if it is time for that.
    fn ask_when_due(&self) {
        let interval = if self.0.known().failures > 0 { DOUBT_INTERVAL } else { CALM_INTERVAL };
        let is_due = self.0.known().asked.is_none_or(|asked| asked.elapsed() >= interval);
        if is_due && !self.0.is_asked.swap(true, Relaxed) {
            self.0.known().asked = Some(Instant::now());
            let state = Arc::clone(&self.0);
            tokio::spawn(async move {
                state.ask().await;
                state.is_asked.store(false, Relaxed);
            });
        }
    }
}

impl State {
    async fn ask(&self) {
        let answer = time::timeout(PATIENCE, self.question()).await.unwrap_or(Err(Failure::ResponseTimeout));
        let mut known = self.known();
        match answer {
            Ok(()) => known.heard(),
            // It is busy with those whom it answers.
            Err(Failure::ResponseTimeout) if known.served.is_some_and(|served| served.elapsed() < PATIENCE) => {}
            Err(failure) => known.missed(&failure),
        }
    }

    async fn question(&self) -> Result<(), Failure> {
        let mut connection = self.connections.open().await?;
        let Some(path) = &self.health_path else { return Ok(()) };
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = path.parse().map_err(|_| Failure::NotHttp)?;
        request.headers_mut().insert(header::HOST, HeaderValue::from_static("localhost"));
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        let response = connection.sender.send_request(request).await.map_err(|error| Failure::of(&error))?;
        let status = response.status();
        if status.is_success() || status.is_redirection() { Ok(()) } else { Err(Failure::Unhealthy(status)) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn heard(&mut self) {
        (self.answered, self.failed, self.failures, self.error) = (Some(Instant::now()), None, 0, None);
    }

    fn missed(&mut self, failure: &Failure) {
        let error = failure.to_string();
        if self.failures == 0 {
            tracing::warn!("The app behind the gateway cannot be used: {error}");
        }
        self.failed = Some(Instant::now());
        self.failures = self.failures.saturating_add(1);
        self.error = Some(error.into());
    }
}

/// Behind its pool is a database that the gateway does not see. What passes the gate stands for connections.
impl WatchedPool for App {
    fn backend(&self) -> Option<Backend> {
        None
    }

    fn figures(&self) -> Figures {
        let mut figures = Figures::default();
        let permits = self.0.permits.load(Relaxed);
        (figures.pool_size, figures.capacity) = (permits, permits);
        figures.checked_out = self.0.gate.get().map_or(0, Gate::in_flight);
        figures
    }

    fn connect_history(&self) -> ConnectHistory {
        let known = self.0.known();
        let mut history = ConnectHistory::default();
        history.answered = known.answered.map(|at| at.elapsed());
        history.failed = known.failed.map(|at| at.elapsed());
        history.consecutive_failures = known.failures;
        history.error.clone_from(&known.error);
        history
    }

    fn refresh(&self) -> Option<BoxFuture<'_, ()>> {
        self.ask_when_due();
        Some(Box::pin(async {}))
    }
}

impl Upstream for App {
    fn status(&self) -> GatewayStatus {
        let trouble = self.0.known().error.as_ref().map(ToString::to_string);
        self.0.exchanges.status(self.0.url.to_string(), trouble)
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("App").field(&format_args!("{}", self.0.url)).finish()
    }
}
