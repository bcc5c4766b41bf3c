//! What answers on the public address: Poolgate's own routes under their prefix, the app everywhere else.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use axum::{Router, body::Body, response::Response};
use http::{HeaderValue, Request, Uri, header, uri::PathAndQuery};
use http_body::Body as _;
use hyper::upgrade;
use poolgate_server::{
    Poolgate, Readers, Settings,
    gate::{Admitted, Gate, GateReport, Rejected, ReportWanted, add_server_timing},
    gateway_routes,
    settings::{Network, UpstreamSettings, UpstreamUrl},
};
use tokio::{sync::oneshot, time};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;
use tower_service::Service;

use crate::{
    app::App,
    connections::Connections,
    exchange::{Answer, Exchange},
    exchanges::{self, Exchanges},
    failure::{Failure, OUTCOME},
    forward,
    refuse::refusal,
    retries::RetryBudget,
    tunnel::ConnectionGuard,
};

/// Poolgate's routes, as the library has them.
const OWN_ROUTES: &str = "/api/v1/health/";

/// Answers every request to the public address.
#[derive(Clone, Debug)]
pub struct Gateway {
    parts: Arc<Parts>,
}

#[derive(Debug)]
pub(crate) struct Parts {
    gate: Gate,
    own: Router,
    prefix: String,
    /// For requests that name none.
    host: HeaderValue,
    pub(crate) app: App,
    settings: ArcSwap<Live>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) retries: RetryBudget,
    pub(crate) exchanges: Arc<Exchanges>,
    readers: Readers,
    /// Whether answers say how long they took.
    server_timing: bool,
    pub(crate) tunnels: TaskTracker,
    /// Cancelled when tunnels must end.
    pub(crate) cut_off: CancellationToken,
}

/// Settings that can change while it runs.
#[derive(Debug)]
pub(crate) struct Live {
    bypass: Vec<String>,
    trusted_proxies: Vec<Network>,
    pub(crate) upstream: UpstreamSettings,
}

impl From<&Settings> for Live {
    fn from(settings: &Settings) -> Self {
        Self {
            bypass: settings.gate.bypass.clone(),
            trusted_proxies: settings.server.trusted_proxies.clone(),
            upstream: settings.upstream.clone(),
        }
    }
}

/// What came of a request that is no route of Poolgate's own.
struct Forwarded {
    answer: Answer,
    /// What the gate did, if it was asked.
    report: Option<GateReport>,
    /// Time until the app's head was there or failed to come, if the app was asked.
    upstream: Option<Duration>,
}

impl Gateway {
    /// A gateway to `app`, with the gate and the routes of `poolgate`.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn new(poolgate: &Poolgate, app: &App) -> Self {
        let settings = poolgate.settings();
        let host = match app.url() {
            UpstreamUrl::Tcp { host, port } => HeaderValue::try_from(format!("{host}:{port}")),
            UpstreamUrl::Unix(_) => Ok(HeaderValue::from_static("localhost")),
        };
        let gate = poolgate.gate();
        app.stands_behind(gate.clone());
        let gateway = Self {
            parts: Arc::new(Parts {
                gate,
                own: gateway_routes(poolgate),
                prefix: settings.gateway.prefix.clone(),
                host: host.unwrap_or(HeaderValue::from_static("localhost")),
                app: app.clone(),
                connections: app.connections(),
                retries: RetryBudget::default(),
                exchanges: app.exchanges(),
                readers: Readers::new(&settings.server),
                server_timing: settings.gate.server_timing,
                tunnels: TaskTracker::new(),
                cut_off: CancellationToken::new(),
                settings: ArcSwap::from_pointee(settings.into()),
            }),
        };
        tokio::spawn(exchanges::look(Arc::downgrade(&gateway.parts.exchanges)));
        gateway
    }

    /// Takes over what can change while it runs: the paths that bypass the gate, the trusted proxies, and the timeouts of
    /// `upstream`. Requests that are in keep those that they began with.
    pub fn reload(&self, settings: &Settings) {
        let before = self.parts.settings.load();
        let mut upstream = before.upstream.clone();
        upstream.response_timeout = settings.upstream.response_timeout;
        upstream.idle_timeout = settings.upstream.idle_timeout;
        self.parts.settings.store(Arc::new(Live { upstream, ..Live::from(settings) }));
        self.parts.app.reload(settings);
    }

    /// Waits for WebSockets to end, and cuts them off at the deadline. Event streams end with their connections.
    pub async fn drain(&self, deadline: Duration) {
        self.parts.tunnels.close();
        if time::timeout(deadline, self.parts.tunnels.wait()).await.is_err() {
            self.parts.cut_off.cancel();
            self.parts.tunnels.wait().await;
        }
    }

    async fn answer(self, mut request: Request<Body>) -> Response {
        let parts = &self.parts;
        if let Some(own) = parts.own_target(request.uri()) {
            *request.uri_mut() = own;
            return parts.own.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        }
        if let Some(refusal) = refusal(&request) {
            parts.exchanges.refused();
            return refusal;
        }
        // Of pages from elsewhere only the app knows whether they may read its answers, but these are not the app's.
        let origin = request.headers().get(header::ORIGIN).cloned();
        let reveal = |mut response: Response| {
            parts.readers.reveal(origin.as_ref(), response.headers_mut());
            response
        };
        let wants_report = request.extensions().get::<ReportWanted>().is_some();
        let Forwarded { answer, report, upstream } = parts.forward(request).await;
        let mut response = match answer {
            Answer::App(response) => {
                parts.exchanges.answered();
                response
            }
            Answer::Failed(failure) => {
                let (outcome, kind) = failure.outcome();
                parts.exchanges.unanswered(outcome, kind);
                reveal(failure.into_response())
            }
            Answer::Rejected(rejected) => {
                parts.exchanges.unanswered(rejected.outcome(), None);
                reveal(turned_away(rejected))
            }
        };
        parts.gate.stamp(response.headers_mut());
        if parts.server_timing {
            let gate = report.as_ref().map(|report| ("gate", report.waited));
            let upstream = upstream.map(|time| ("upstream", time));
            add_server_timing(response.headers_mut(), gate.into_iter().chain(upstream));
        }
        if let Some(report) = report.filter(|_| wants_report) {
            response.extensions_mut().insert(report);
        }
        response
    }
}

impl Parts {
    /// The target as Poolgate's routes know it, if it is one of theirs.
    fn own_target(&self, uri: &Uri) -> Option<Uri> {
        let rest = uri.path().strip_prefix(self.prefix.as_str())?;
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        PathAndQuery::try_from(format!("{OWN_ROUTES}{rest}{query}")).ok().map(Uri::from)
    }

    async fn forward(self: &Arc<Self>, mut request: Request<Body>) -> Forwarded {
        let settings = self.live();
        let most = settings.upstream.max_body_bytes.unwrap_or(u64::MAX);
        if request.body().size_hint().lower() > most {
            return Forwarded { answer: Answer::Failed(Failure::LargeUpload), report: None, upstream: None };
        }
        let upgrade = forward::asks_for_websocket(&request).then(|| {
            let guard = request.extensions_mut().remove::<ConnectionGuard>();
            (upgrade::on(&mut request), guard)
        });
        let (mut request, admitted) = if settings.bypasses(request.uri().path()) {
            (request, None)
        } else {
            match self.gate.admit(request).await {
                Ok((request, admitted)) => (request, Some(admitted)),
                Err(rejected) => {
                    let report = Some(rejected.report());
                    return Forwarded { answer: Answer::Rejected(rejected), report, upstream: None };
                }
            }
        };
        let report = admitted.as_ref().map(Admitted::report);
        forward::to_app(&mut request, &self.host, &settings.trusted_proxies);
        let (answer, answered) = oneshot::channel();
        let exchange = Exchange { parts: Arc::clone(self), settings, admitted, upgrade, answer };
        let sent = Instant::now();
        tokio::spawn(exchange.run(request));
        let answer = answered.await.unwrap_or(Answer::Failed(Failure::Terminated));
        Forwarded { answer, report, upstream: Some(sent.elapsed()) }
    }

    /// The settings in force.
    pub(crate) fn live(&self) -> Arc<Live> {
        self.settings.load_full()
    }
}

impl Live {
    fn bypasses(&self, path: &str) -> bool {
        self.bypass.iter().any(|prefix| path.starts_with(prefix))
    }
}

fn turned_away(rejected: Rejected) -> Response {
    let outcome = HeaderValue::from_static(rejected.outcome());
    let mut response = rejected.into_response();
    response.headers_mut().insert(OUTCOME, outcome);
    // A page reads why, and no cache keeps it for the app's own answer.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Service<Request<Body>> for Gateway {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let gateway = self.clone();
        Box::pin(async move { Ok(gateway.answer(request).await) })
    }
}
