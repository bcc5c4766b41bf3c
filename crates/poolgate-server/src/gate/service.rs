//! The gate as a [`tower_service::Service`].

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use axum::{
    BoxError,
    body::{Body, Bytes},
};
use http::{Request, Response};
use tower_service::Service;

use super::{
    body::GateBody,
    core::Core,
    future::{Entry, ResponseFuture},
    layer::Hooks,
};

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

/// The service behind it gets axum's [`Body`], whatever body the request came with.
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
        let now = Instant::now();
        let (parts, body) = request.into_parts();
        let core = Arc::clone(&self.core);
        if let Some(place) = core.preflights().admit(&parts) {
            let request = Request::from_parts(parts, Body::new(body));
            return ResponseFuture::passing(core, take_ready(&mut self.inner), request, place);
        }
        let arrival = match core.arrival(&parts, &self.hooks, now) {
            Ok(arrival) => arrival,
            Err(reject) => return ResponseFuture::rejected(core, reject),
        };
        let request = Request::from_parts(parts, Body::new(body));
        ResponseFuture::begin(core, Entry::new(take_ready(&mut self.inner), request, arrival))
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
