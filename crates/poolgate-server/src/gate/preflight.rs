//! CORS preflights: a browser's question whether a page may send a request, answered without the database. They pass the
//! gate uncounted, or a page of another origin would need two permits for one request, and could not even learn that it is
//! turned away.

use std::sync::Arc;

use http::{Method, header, request::Parts};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places for preflights. Real ones are answered in no time; what only looks like one is bounded, and beyond the bound
/// a request like any other.
#[derive(Debug)]
pub(super) struct Preflights(Arc<Semaphore>);

/// Held while a preflight is being answered.
pub(super) type PreflightPlace = OwnedSemaphorePermit;

impl Preflights {
    pub(super) fn new(limit: u32) -> Self {
        Self(Arc::new(Semaphore::new(limit as usize)))
    }

    /// A place, if the request is a preflight and there is one.
    pub(super) fn admit(&self, request: &Parts) -> Option<PreflightPlace> {
        let has = |name| request.headers.contains_key(name);
        let is_preflight =
            request.method == Method::OPTIONS && has(header::ORIGIN) && has(header::ACCESS_CONTROL_REQUEST_METHOD);
        if is_preflight { Arc::clone(&self.0).try_acquire_owned().ok() } else { None }
    }
}
