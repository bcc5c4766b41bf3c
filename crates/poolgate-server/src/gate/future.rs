//! A gated request under way: its body is read, it is queued, it runs, or it is rejected.

use std::{
    fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use axum::body::{Body, Bytes};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use pin_project_lite::pin_project;
use poolgate_control::gate::Arrival;
use tokio::time::Sleep;
use tower_service::Service;

use super::{
    arrival::PreflightPlace,
    core::Core,
    hold::Hold,
    limiter::{Admission, Permit, Queued},
    orders::{Orders, Passage},
    reject::Reject,
    request_body::{Reading, Upload},
    response_body::GateBody,
    trace::{RequestTrace, Traced, purpose},
};

pin_project! {
    /// The response of a gated service. Dropping it in any state gives back what it holds.
    pub struct ResponseFuture<S>
    where
        S: Service<Request<Body>>,
    {
        core: Arc<Core>,
        // By which the request is judged and its response stamped.
        orders: Arc<Orders>,
        // When it asked for a permit.
        arrival: Instant,
        probe: bool,
        #[pin]
        state: State<S>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S>
    where
        S: Service<Request<Body>>,
    {
        Rejected { reject: Reject },
        Passing { #[pin] response: S::Future, place: PreflightPlace },
        Reading { reading: Reading, entry: Option<Entry<S>> },
        Queued { queued: Queued, #[pin] timeout: Sleep, entry: Option<Entry<S>> },
        Running { #[pin] response: Traced<S::Future>, hold: Arc<Hold>, method: Method },
    }
}

/// A request before its admission, and the service that will answer it.
pub(super) struct Entry<S> {
    inner: S,
    request: Request<Body>,
    upload: Upload,
    arrival: Arrival,
}

impl<S> Entry<S> {
    pub(super) fn new(inner: S, request: Request<Body>, arrival: Arrival) -> Self {
        Self { inner, upload: Upload::of(&request), request, arrival }
    }
}

impl<S: Service<Request<Body>>> ResponseFuture<S> {
    pub(super) fn rejected(core: Arc<Core>, orders: Arc<Orders>, reject: Reject) -> Self {
        Self { core, orders, arrival: Instant::now(), probe: false, state: State::Rejected { reject } }
    }

    pub(super) fn passing(
        core: Arc<Core>,
        orders: Arc<Orders>,
        mut inner: S,
        request: Request<Body>,
        place: PreflightPlace,
    ) -> Self {
        let state = State::Passing { response: inner.call(request), place };
        Self { core, orders, arrival: Instant::now(), probe: false, state }
    }

    /// Reads a small body; then asks for a permit.
    pub(super) fn begin(core: Arc<Core>, orders: Arc<Orders>, mut entry: Entry<S>) -> Self {
        let arrival = Instant::now();
        if let Upload::First = entry.upload {
            let body = mem::take(entry.request.body_mut());
            match core.uploads.read(body) {
                Ok(reading) => {
                    let state = State::Reading { reading, entry: Some(entry) };
                    return Self { core, orders, arrival, probe: false, state };
                }
                Err(body) => *entry.request.body_mut() = body,
            }
        }
        let (state, probe) = State::enter(&core, &orders, entry, arrival);
        Self { core, orders, arrival, probe, state }
    }
}

impl<S: Service<Request<Body>>> State<S> {
    /// Asks for a permit. The second value is whether the request is a probe.
    fn enter(core: &Arc<Core>, orders: &Orders, entry: Entry<S>, now: Instant) -> (Self, bool) {
        let (tally, is_demand) = (core.limiter.tally(), !entry.arrival.excess);
        tally.arrived(is_demand);
        let passage = core.circuit.passage(&orders.gate, now);
        if passage == Passage::Shut {
            tally.shut_out(is_demand);
            let retry_after_seconds = orders.gate.retry_after_seconds;
            return (Self::Rejected { reject: Reject::CircuitOpen { retry_after_seconds } }, false);
        }
        let state = match core.limiter.ask(entry.arrival, now) {
            Admission::Granted(permit) => Self::run(core, entry, permit, now),
            Admission::Queued(queued) => {
                let timeout = tokio::time::sleep(queued.patience);
                Self::Queued { queued, timeout, entry: Some(entry) }
            }
            Admission::Rejected(reason) => {
                tally.rejected(is_demand);
                Self::Rejected { reject: reason.into() }
            }
        };
        (state, passage == Passage::Probe)
    }

    fn run(core: &Core, entry: Entry<S>, permit: Permit, now: Instant) -> Self {
        let Entry { mut inner, request, upload, arrival } = entry;
        let (purpose, method) = (purpose(&request), request.method().clone());
        let hold = Hold::new(Arc::clone(&core.limiter), permit, arrival, purpose.clone());
        let request = match upload {
            Upload::Complete => request,
            Upload::First | Upload::Pieces => request.map(|body| core.uploads.in_pieces(body, Arc::clone(&hold))),
        };
        let response = RequestTrace::new(now).follow(purpose, inner.call(request));
        Self::Running { response, hold, method }
    }
}

impl<S, B> Future for ResponseFuture<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    B: http_body::Body<Data = Bytes>,
{
    type Output = Result<Response<GateBody<B>>, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProjection::Rejected { reject } => {
                    let mut response = reject.response(&this.core.jitter, || this.core.occupancy());
                    this.orders.stamp(response.headers_mut());
                    return Poll::Ready(Ok(response.map(GateBody::full)));
                }
                StateProjection::Passing { response, place: _ } => {
                    let answer = ready!(response.poll(context));
                    return Poll::Ready(answer.map(|response| response.map(GateBody::free)));
                }
                StateProjection::Reading { reading, entry } => match (ready!(reading.poll(context)), entry.take()) {
                    (Ok(body), Some(mut entry)) => {
                        *entry.request.body_mut() = body;
                        *this.arrival = Instant::now();
                        // The body may have taken long, and the breaker may have opened since.
                        *this.orders = this.core.orders();
                        let (state, probe) = State::enter(this.core, this.orders, entry, *this.arrival);
                        *this.probe = probe;
                        state
                    }
                    (Err(reject), _) => State::Rejected { reject },
                    (Ok(_), None) => State::Rejected { reject: Reject::BodyTimeout },
                },
                StateProjection::Queued { queued, timeout, entry } => {
                    // A permit that came in time counts, even if the timeout has passed by now.
                    let granted = match Pin::new(&mut queued.permit).poll(context) {
                        Poll::Ready(granted) => granted.ok(),
                        Poll::Pending => {
                            ready!(timeout.poll(context));
                            None
                        }
                    };
                    let entry = entry.take();
                    let is_demand = entry.as_ref().is_none_or(|entry| !entry.arrival.excess);
                    match (granted, entry) {
                        (Some(permit), Some(entry)) => State::run(this.core, entry, permit, *this.arrival),
                        _ => {
                            this.core.limiter.tally().rejected(is_demand);
                            State::Rejected { reject: Reject::Timeout }
                        }
                    }
                }
                StateProjection::Running { mut response, hold, method } => {
                    let answer = ready!(response.as_mut().poll(context));
                    let acquired = response.take_value().is_some_and(|trace| trace.acquired());
                    if acquired {
                        hold.connected();
                    }
                    let tally = this.core.limiter.tally();
                    let failed = answer.as_ref().is_ok_and(|response| response.status().is_server_error());
                    if failed {
                        tally.server_error();
                    }
                    // A request without a connection is no evidence: the pool may have answered it with the failure of
                    // an earlier attempt, and it reports connects by itself.
                    if *this.probe && acquired {
                        tally.probed(!failed);
                    }
                    this.core.responses.record(this.arrival.elapsed());
                    match hold.failure() {
                        Some(reject) => State::Rejected { reject },
                        None => {
                            let (mut parts, body) = answer?.into_parts();
                            this.orders.stamp(&mut parts.headers);
                            let body = if is_free(method, parts.status, &parts.headers) || body.is_end_stream() {
                                hold.complete();
                                GateBody::free(body)
                            } else {
                                let slow_readers = Arc::clone(&this.core.slow_readers);
                                GateBody::begun(body, Arc::clone(hold), slow_readers, context)
                            };
                            return Poll::Ready(Ok(Response::from_parts(parts, body)));
                        }
                    }
                }
            };
            this.state.set(next);
        }
    }
}

/// Whether the response's body needs no permit: nobody reads it, or it is a connection of its own that stays open as
/// long as the client likes (an upgrade or an event stream), whose number is bounded elsewhere.
fn is_free(method: &Method, status: StatusCode, headers: &HeaderMap) -> bool {
    let is_event_stream = |value: &HeaderValue| value.as_bytes().starts_with(b"text/event-stream");
    method == Method::HEAD
        || method == Method::CONNECT && status.is_success()
        || matches!(status, StatusCode::SWITCHING_PROTOCOLS | StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || headers.get(header::CONTENT_TYPE).is_some_and(is_event_stream)
}

impl<S: Service<Request<Body>>> fmt::Debug for ResponseFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Rejected { .. } => "rejected",
            State::Passing { .. } => "passing",
            State::Reading { .. } => "reading",
            State::Queued { .. } => "queued",
            State::Running { .. } => "running",
        };
        f.debug_struct("ResponseFuture").field("state", &state).field("arrival", &self.arrival).finish_non_exhaustive()
    }
}
