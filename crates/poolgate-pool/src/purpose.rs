//! What connections are acquired for.

use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::task::{self, futures::TaskLocalFuture};

tokio::task_local! {
    static PURPOSE: Purpose;
}

/// What a task acquires connections for: its route, and the trace it belongs to. Leases acquired within
/// [`scope`](Self::scope) carry it, so that a list of leases, a leak report or a timeout's diagnosis names the request and
/// not only the line of code. All clones are the same purpose.
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
    users: AtomicUsize,
}

impl Purpose {
    /// For requests of this route: a template such as `GET /orders/{id}`, not a path that contains data.
    #[must_use]
    pub fn new(route: impl Into<Box<str>>) -> Self {
        Self(Arc::new(Content { route: route.into(), trace_id: None, users: AtomicUsize::new(0) }))
    }

    /// A new purpose with the same route, within a distributed trace.
    #[must_use]
    pub fn with_trace_id(self, trace_id: impl Into<Box<str>>) -> Self {
        let trace_id = Some(trace_id.into());
        Self(Arc::new(Content { route: self.0.route.clone(), trace_id, users: AtomicUsize::new(0) }))
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

    /// Whether a connection is in use or waited for with this purpose.
    #[must_use]
    pub fn needs_connection(&self) -> bool {
        self.0.users.load(Relaxed) > 0
    }

    /// Runs `future`. Leases that it acquires in its own task have this purpose.
    pub fn scope<F: Future>(self, future: F) -> TaskLocalFuture<Self, F> {
        PURPOSE.scope(self, future)
    }

    /// Runs `work`. Leases that it acquires, also by polling a future of another task, have this purpose.
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

/// Who acquires a connection; kept from the call of `acquire` until the connection is returned.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) location: &'static Location<'static>,
    purpose: Option<InUse>,
    task: Option<task::Id>,
}

/// Counts as a user of its purpose while it exists.
#[derive(Debug)]
struct InUse(Purpose);

impl Caller {
    /// The calling function, in the scope of the current task.
    #[track_caller]
    pub(crate) fn current() -> Self {
        Self { location: Location::caller(), purpose: PURPOSE.try_with(InUse::new).ok(), task: task::try_id() }
    }

    /// Whether both belong to the same work, as far as that is known: the same task or the same trace.
    pub(crate) fn is_same_work(&self, other: &Self) -> bool {
        (self.task.is_some() && self.task == other.task)
            || self.trace_id().is_some_and(|own| other.trace_id() == Some(own))
    }

    fn trace_id(&self) -> Option<&str> {
        self.purpose().and_then(Purpose::trace_id)
    }

    pub(crate) fn purpose(&self) -> Option<&Purpose> {
        self.purpose.as_ref().map(|in_use| &in_use.0)
    }
}

impl InUse {
    fn new(purpose: &Purpose) -> Self {
        purpose.0.users.fetch_add(1, Relaxed);
        Self(purpose.clone())
    }
}

impl Clone for InUse {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.0.users.fetch_sub(1, Relaxed);
    }
}
