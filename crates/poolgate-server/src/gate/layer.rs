//! The gate as a [`tower_layer::Layer`].

use std::{fmt, sync::Arc};

use http::request::Parts;
use poolgate_control::gate::Priority;
use tower_layer::Layer;

use super::{core::Core, service::GateService};

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

/// What the app knows about its requests.
#[derive(Clone, Default)]
pub(super) struct Hooks {
    identify: Option<Arc<Hook<String>>>,
    classify: Option<Arc<Hook<Priority>>>,
}

type Hook<T> = dyn Fn(&Parts) -> Option<T> + Send + Sync;

impl Gate {
    pub(crate) fn with_core(core: Arc<Core>) -> Self {
        Self { core, hooks: Hooks::default() }
    }

    /// Tells clients apart by what the app knows (a user, an API key) instead of by their addresses. Where `identify`
    /// gives `None`, the address counts. It is asked about every request. The name never appears in a log or a metric.
    #[must_use]
    pub fn identify(mut self, identify: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        self.hooks.identify = Some(Arc::new(identify));
        self
    }

    /// Sorts requests by what the app knows (the route, the user): when not all can be served, the higher priority goes
    /// first, and each lower one still gets a tenth. Where `classify` gives `None`, the request's own `Priority` header
    /// (RFC 9218) counts as far as it steps back: an urgency of 5 to 7 is [`Priority::Background`], all else
    /// [`Priority::Normal`]. It is asked about every request.
    ///
    /// ```
    /// use poolgate_server::gate::{Gate, Priority};
    ///
    /// let gate = Gate::new(&Default::default())
    ///     .classify(|request| request.uri.path().starts_with("/reports").then_some(Priority::Background));
    /// ```
    #[must_use]
    pub fn classify(mut self, classify: impl Fn(&Parts) -> Option<Priority> + Send + Sync + 'static) -> Self {
        self.hooks.classify = Some(Arc::new(classify));
        self
    }

    /// Requests in flight now.
    pub fn in_flight(&self) -> u32 {
        self.core.limiter().occupancy().in_flight
    }

    /// Requests that wait now.
    pub fn queued(&self) -> u32 {
        self.core.limiter().occupancy().queued
    }
}

impl Hooks {
    /// The client's name, where the app knows it.
    pub(super) fn identify(&self, request: &Parts) -> Option<String> {
        self.identify.as_ref().and_then(|identify| identify(request))
    }

    /// The request's priority, where the app knows it.
    pub(super) fn classify(&self, request: &Parts) -> Option<Priority> {
        self.classify.as_ref().and_then(|classify| classify(request))
    }
}

impl<S> Layer<S> for Gate {
    type Service = GateService<S>;

    fn layer(&self, inner: S) -> GateService<S> {
        GateService::new(inner, Arc::clone(&self.core), self.hooks.clone())
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("core", &self.core).finish_non_exhaustive()
    }
}
