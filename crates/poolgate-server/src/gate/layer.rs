//! The gate as a [`tower_layer::Layer`] and a [`tower_service::Service`].

use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    BoxError,
    body::{Body, Bytes},
    extract::MatchedPath,
};
use http::{Request, Response, request::Parts};
use poolgate_types::Priority;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    arrival::Hooks,
    core::{Core, Surroundings},
    entry::{Entry, Judged},
    future::ResponseFuture,
    report::ReportWanted,
    response_body::GateBody,
};
use crate::settings::GateSettings;

/// Puts a gate in front of a service. All clones, and all services made from them, share the same permits.
///
/// ```
/// use axum::{Router, routing::get};
/// use poolgate_server::gate::Gate;
///
/// let gate = Gate::new(&Default::default());
/// let app: Router = Router::new().route("/orders", get(|| async { "…" })).layer(gate);
/// ```
#[derive(Clone)]
pub struct Gate {
    core: Arc<Core>,
    hooks: Hooks,
}

/// A service behind a gate, made by [`Gate`].
#[derive(Clone)]
pub struct GateService<S> {
    inner: S,
    core: Arc<Core>,
    hooks: Hooks,
}

impl Gate {
    /// A gate without a control loop: it bounds and rejects, but its config stays NORMAL. For one with a control loop
    /// use [`Poolgate::gate`](crate::Poolgate::gate).
    pub fn new(settings: &GateSettings) -> Self {
        Self::with_core(Core::new(settings, Surroundings::default()))
    }

    pub(crate) fn with_core(core: Arc<Core>) -> Self {
        Self { core, hooks: Hooks::default() }
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(super) fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// Tells clients apart by what the app knows (a user, an API key) instead of by their addresses. If `identify`
    /// returns `None`, the address counts. It is called for every request. The name never appears in a log or a metric.
    #[must_use]
    pub fn identify(mut self, identify: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        self.hooks.identify = Some(Arc::new(identify));
        self
    }

    /// Sorts requests by what the app knows (the route, the user). When not all can be served, the higher priority goes
    /// first, and each lower one still gets a tenth. If `classify` returns `None`, the request's own `Priority` header
    /// (RFC 9218) may lower its priority: an urgency of 5 to 7 is [`Priority::Low`], every other [`Priority::Normal`].
    /// It is called for every request.
    ///
    /// ```
    /// use poolgate_server::gate::{Gate, Priority};
    ///
    /// let gate = Gate::new(&Default::default())
    ///     .classify(|request| request.uri.path().starts_with("/reports").then_some(Priority::Low));
    /// ```
    #[must_use]
    pub fn classify(mut self, classify: impl Fn(&Parts) -> Option<Priority> + Send + Sync + 'static) -> Self {
        self.hooks.classify = Some(Arc::new(classify));
        self
    }

    /// Requests in flight now.
    pub fn in_flight(&self) -> u32 {
        self.core.occupancy().in_flight
    }

    /// Requests queued now.
    pub fn queued(&self) -> u32 {
        self.core.occupancy().queued
    }
}

impl<S> Layer<S> for Gate {
    type Service = GateService<S>;

    fn layer(&self, inner: S) -> GateService<S> {
        GateService { inner, core: Arc::clone(&self.core), hooks: self.hooks.clone() }
    }
}

/// The service behind it gets axum's [`Body`] for requests with any body.
impl<S, RequestBody, ResponseBody> Service<Request<RequestBody>> for GateService<S>
where
    S: Service<Request<Body>, Response = Response<ResponseBody>> + Clone,
    RequestBody: http_body::Body<Data = Bytes> + Send + 'static,
    RequestBody::Error: Into<BoxError>,
    ResponseBody: http_body::Body<Data = Bytes>,
{
    type Response = Response<GateBody<ResponseBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let (core, orders) = (Arc::clone(&self.core), self.core.orders());
        let extensions = request.extensions();
        let wanted = extensions.get::<ReportWanted>().map(|_| extensions.get::<MatchedPath>().cloned());
        let report = |response: ResponseFuture<S>| match wanted {
            Some(route) => response.reporting(route),
            None => response,
        };
        let (request, judged) = match core.judge(request.map(Body::new), &self.hooks, &orders) {
            Ok(judged) => judged,
            Err(reject) => return report(ResponseFuture::rejected(core, orders, reject)),
        };
        let inner = take_ready(&mut self.inner);
        let response = match judged {
            Judged::Preflight(place) => ResponseFuture::passing(core, orders, inner, request, place),
            Judged::Counted(arrival) => {
                let entry = Entry::new(&core, request, arrival);
                ResponseFuture::begin(core, orders, inner, entry)
            }
        };
        report(response)
    }
}

/// Takes the service that was found ready and leaves a clone in its place.
fn take_ready<S: Clone>(service: &mut S) -> S {
    let clone = service.clone();
    mem::replace(service, clone)
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("core", &self.core).finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for GateService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateService").field("core", &self.core).finish_non_exhaustive()
    }
}
