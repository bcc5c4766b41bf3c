//! What a connection is taken for.

use std::panic::Location;
use std::sync::Arc;

use tokio::task::{self, futures::TaskLocalFuture};

tokio::task_local! {
    static PURPOSE: Purpose;
}

/// What a task takes connections for: its route and the trace it belongs to. Leases acquired within
/// [`scope`](Self::scope) carry it, so that a list of leases, a leak report or a timeout's diagnosis names the work and
/// not only the line.
///
/// ```
/// # use poolgate_pool::{PoolgatePool, Purpose};
/// # async fn handle(pool: PoolgatePool<sqlx::Sqlite>) -> Result<(), poolgate_pool::AcquireError> {
/// let purpose = Purpose::new("GET /orders/{id}").with_trace_id("4bf92f3577b34da6a3ce929d0e0e4736");
/// purpose.scope(async move { pool.acquire().await.map(drop) }).await
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purpose {
    route: Arc<str>,
    trace_id: Option<Arc<str>>,
}

impl Purpose {
    /// Work on this route: a template such as `GET /orders/{id}`, not a path with someone's data in it.
    #[must_use]
    pub fn new(route: impl Into<Arc<str>>) -> Self {
        Self { route: route.into(), trace_id: None }
    }

    /// The same within a distributed trace.
    #[must_use]
    pub fn with_trace_id(self, trace_id: impl Into<Arc<str>>) -> Self {
        Self { trace_id: Some(trace_id.into()), ..self }
    }

    /// The route.
    #[must_use]
    pub fn route(&self) -> &str {
        &self.route
    }

    /// The trace.
    #[must_use]
    pub fn trace_id(&self) -> Option<&str> {
        self.trace_id.as_deref()
    }

    /// Runs `future`; what it acquires, in its own task, is acquired for this purpose.
    pub fn scope<F: Future>(self, future: F) -> TaskLocalFuture<Self, F> {
        PURPOSE.scope(self, future)
    }
}

/// Who takes a connection.
#[derive(Debug, Clone)]
pub(crate) struct Taker {
    pub(crate) place: &'static Location<'static>,
    pub(crate) purpose: Option<Purpose>,
    task: Option<task::Id>,
}

impl Taker {
    /// The caller's own function, in the scope of the current task.
    #[track_caller]
    pub(crate) fn caller() -> Self {
        Self { place: Location::caller(), purpose: PURPOSE.try_with(Purpose::clone).ok(), task: task::try_id() }
    }

    /// Whether both are the same work, as far as that is known: one task, or one trace.
    pub(crate) fn is_same_work(&self, other: &Self) -> bool {
        let trace = |taker: &Self| taker.purpose.as_ref().and_then(|purpose| purpose.trace_id.clone());
        (self.task.is_some() && self.task == other.task)
            || trace(self).is_some_and(|own| trace(other).is_some_and(|other| own == other))
    }
}
