//! The gate as a [`tower_service::Service`].

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use http::{Request, Response};
use tower_service::Service;

use super::{body::GateBody, core::Core, future::ResponseFuture, layer::Hooks, limiter::Admission, trace::purpose};

/// A service behind a gate. Made by [`Gate`](super::Gate).
#[derive(Clone)]
pub struct GateService<S> {
    inner: S,
    core: Arc<Core>,
    hooks: Hooks,
}

impl<S> GateService<S> {
    pub(super) fn new(inner: S, core: Arc<Core>, hooks: Hooks) -> Self {
        Self { inner, core, hooks }
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
        let now = Instant::now();
        let (parts, body) = request.into_parts();
        if let Some(place) = self.core.preflights().admit(&parts) {
            let request = Request::from_parts(parts, body);
            return ResponseFuture::passing(Arc::clone(&self.core), take_ready(&mut self.inner), request, place);
        }
        let arrival = self.core.arrival(&parts, &self.hooks, now);
        let purpose = purpose(&parts);
        let request = Request::from_parts(parts, body);
        if let Err(reject) = self.core.check_quota(&arrival, now) {
            return ResponseFuture::rejected(Arc::clone(&self.core), reject);
        }
        let tally = self.core.limiter().tally();
        tally.arrived();
        let probe = match self.core.check_circuit(now) {
            Ok(probe) => probe,
            Err(reject) => {
                tally.shut_out();
                return ResponseFuture::rejected(Arc::clone(&self.core), reject);
            }
        };
        let inner = take_ready(&mut self.inner);
        match self.core.limiter().ask(arrival, now) {
            Admission::Granted { permit, occupancy } => {
                self.core.warn_when_nearly_full(occupancy);
                ResponseFuture::running(Arc::clone(&self.core), inner, (request, purpose), permit, now, probe)
            }
            Admission::Queued(waiter) => {
                ResponseFuture::waiting(Arc::clone(&self.core), inner, (request, purpose), waiter, now, probe)
            }
            Admission::Rejected(reject) => {
                tally.rejected();
                ResponseFuture::rejected(Arc::clone(&self.core), reject)
            }
        }
    }
}

/// The service that was found ready is the one to be called; its clone takes its place.
fn take_ready<S: Clone>(service: &mut S) -> S {
    let clone = service.clone();
    mem::replace(service, clone)
}

impl<S> std::fmt::Debug for GateService<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GateService").field("core", &self.core).finish_non_exhaustive()
    }
}
