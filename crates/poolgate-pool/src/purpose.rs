//! What a connection is taken for.

use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::task::{self, futures::TaskLocalFuture};

tokio::task_local! {
    static PURPOSE: Purpose;
}

/// What a task takes connections for: its route and the trace it belongs to. Leases acquired within
/// [`scope`](Self::scope) carry it, so that a list of leases, a leak report or a timeout's diagnosis names the work and
/// not only the line. Clones are the same purpose.
///
/// ```
/// # use poolgate_pool::{Pool, Purpose};
/// # async fn handle(pool: Pool<sqlx::Sqlite>) -> Result<(), poolgate_pool::AcquireError> {
/// let purpose = Purpose::new("GET /orders/{id}").with_trace_id("4bf92f3577b34da6a3ce929d0e0e4736");
/// purpose.scope(async move { pool.acquire().await.map(drop) }).await
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Purpose(Arc<Content>);

#[derive(Debug)]
struct Content {
    route: Box<str>,
    trace_id: Option<Box<str>>,
    takers: AtomicUsize,
}

impl Purpose {
    /// Work on this route: a template such as `GET /orders/{id}`, not a path with someone's data in it.
    #[must_use]
    pub fn new(route: impl Into<Box<str>>) -> Self {
        Self(Arc::new(Content { route: route.into(), trace_id: None, takers: AtomicUsize::new(0) }))
    }

    /// The same route within a distributed trace: a purpose of its own.
    #[must_use]
    pub fn with_trace_id(self, trace_id: impl Into<Box<str>>) -> Self {
        let trace_id = Some(trace_id.into());
        Self(Arc::new(Content { route: self.0.route.clone(), trace_id, takers: AtomicUsize::new(0) }))
    }

    /// The route.
    #[must_use]
    pub fn route(&self) -> &str {
        &self.0.route
    }

    /// The trace.
    #[must_use]
    pub fn trace_id(&self) -> Option<&str> {
        self.0.trace_id.as_deref()
    }

    /// Whether a connection is in use for it now, or waited for.
    #[must_use]
    pub fn needs_connection(&self) -> bool {
        self.0.takers.load(Relaxed) > 0
    }

    /// Runs `future`; what it acquires, in its own task, is acquired for this purpose.
    pub fn scope<F: Future>(self, future: F) -> TaskLocalFuture<Self, F> {
        PURPOSE.scope(self, future)
    }

    /// Runs `work`; what it acquires, or polls somebody else's acquiring for, is acquired for this purpose.
    pub fn sync_scope<R>(&self, work: impl FnOnce() -> R) -> R {
        PURPOSE.sync_scope(self.clone(), work)
    }
}

impl PartialEq for Purpose {
    fn eq(&self, other: &Self) -> bool {
        (self.route(), self.trace_id()) == (other.route(), other.trace_id())
    }
}

impl Eq for Purpose {}

/// Who takes a connection, from the moment it is wanted until it has come back.
#[derive(Debug, Clone)]
pub(crate) struct Taker {
    pub(crate) place: &'static Location<'static>,
    purpose: Option<Taking>,
    task: Option<task::Id>,
}

/// Counts as a taker of its purpose for as long as it exists.
#[derive(Debug)]
struct Taking(Purpose);

impl Taker {
    /// The caller's own function, in the scope of the current task.
    #[track_caller]
    pub(crate) fn caller() -> Self {
        Self { place: Location::caller(), purpose: PURPOSE.try_with(Taking::new).ok(), task: task::try_id() }
    }

    /// Whether both are the same work, as far as that is known: one task, or one trace.
    pub(crate) fn is_same_work(&self, other: &Self) -> bool {
        (self.task.is_some() && self.task == other.task)
            || self.trace_id().is_some_and(|own| other.trace_id() == Some(own))
    }

    fn trace_id(&self) -> Option<&str> {
        self.purpose().and_then(Purpose::trace_id)
    }

    pub(crate) fn purpose(&self) -> Option<&Purpose> {
        self.purpose.as_ref().map(|taking| &taking.0)
    }
}

impl Taking {
    fn new(purpose: &Purpose) -> Self {
        purpose.0.takers.fetch_add(1, Relaxed);
        Self(purpose.clone())
    }
}

impl Clone for Taking {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        self.0.0.takers.fetch_sub(1, Relaxed);
    }
}
