//! The gate as a [`tower_layer::Layer`].

use std::{fmt, sync::Arc};

use http::request::Parts;
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
    identify: Option<Arc<Identify>>,
}

/// Names the client that a request belongs to.
pub(super) type Identify = dyn Fn(&Parts) -> Option<String> + Send + Sync;

impl Gate {
    pub(crate) fn with_core(core: Arc<Core>) -> Self {
        Self { core, identify: None }
    }

    /// Tells clients apart by what the app knows (a user, an API key) instead of by their addresses. Where `identify`
    /// gives `None`, the address counts. The name never appears in a log or a metric.
    #[must_use]
    pub fn identify(mut self, identify: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        self.identify = Some(Arc::new(identify));
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

impl<S> Layer<S> for Gate {
    type Service = GateService<S>;

    fn layer(&self, inner: S) -> GateService<S> {
        GateService::new(inner, Arc::clone(&self.core), self.identify.clone())
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("core", &self.core).finish_non_exhaustive()
    }
}
