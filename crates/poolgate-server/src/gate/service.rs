//! The gate as a [`tower_service::Service`].

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http::{HeaderMap, Request, Response};
use tower_service::Service;

use super::{
    body::GateBody,
    core::Core,
    future::{ResponseFuture, Waiting},
    layer::Identify,
    limiter::Admission,
    reject::Reject,
};

/// Milliseconds from now in which the caller wants its answer.
const DEADLINE_HEADER: &str = "poolgate-deadline-ms";

/// A service behind a gate. Made by [`Gate`](super::Gate).
#[derive(Clone)]
pub struct GateService<S> {
    inner: S,
    core: Arc<Core>,
    identify: Option<Arc<Identify>>,
}

impl<S> GateService<S> {
    pub(super) fn new(inner: S, core: Arc<Core>, identify: Option<Arc<Identify>>) -> Self {
        Self { inner, core, identify }
    }
}

impl<S, RequestBody, ResponseBody> Service<Request<RequestBody>> for GateService<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>> + Clone,
{
    type Response = Response<GateBody<ResponseBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, Request<RequestBody>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let arrival = Instant::now();
        let (parts, body) = request.into_parts();
        let patience =
            patience(&parts.headers).map_or(self.core.timeout(), |patience| patience.min(self.core.timeout()));
        let quota = self.core.check_quota(&parts, self.identify.as_deref(), arrival);
        let request = Request::from_parts(parts, body);
        if let Err(reject) = quota {
            return ResponseFuture::rejected(Arc::clone(&self.core), reject);
        }
        let tally = self.core.limiter().tally();
        tally.arrived();
        let probe = match self.core.check_circuit(arrival) {
            Ok(probe) => probe,
            Err(reject) => {
                tally.rejected();
                return ResponseFuture::rejected(Arc::clone(&self.core), reject);
            }
        };
        // The service that was found ready is the one to be called; its clone takes its place.
        let clone = self.inner.clone();
        let inner = mem::replace(&mut self.inner, clone);
        match self.core.limiter().ask() {
            Admission::Granted { permit, in_flight } => {
                self.core.warn_when_nearly_full(in_flight);
                ResponseFuture::running(Arc::clone(&self.core), inner, request, permit, arrival, probe)
            }
            Admission::Queued(waiter) => {
                let waiting = Waiting { waiter, patience };
                ResponseFuture::waiting(Arc::clone(&self.core), inner, request, waiting, arrival, probe)
            }
            Admission::Full => {
                tally.rejected();
                ResponseFuture::rejected(Arc::clone(&self.core), Reject::QueueFull)
            }
        }
    }
}

/// How long the caller itself will wait, where it says so: services may send it, browsers never do.
fn patience(headers: &HeaderMap) -> Option<Duration> {
    headers.get(DEADLINE_HEADER)?.to_str().ok()?.parse().ok().map(Duration::from_millis)
}

impl<S> std::fmt::Debug for GateService<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GateService").field("core", &self.core).finish_non_exhaustive()
    }
}
