//! A gated request on its way: its body is read, it waits, it runs, or it is turned away.

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
    body::GateBody,
    core::Core,
    hold::Hold,
    limiter::{Admission, Waiter},
    permit::Permit,
    preflight::PreflightPlace,
    reject::Reject,
    trace::{RequestTrace, Traced, purpose},
    upload::{Pieces, Reading, Upload},
};

pin_project! {
    /// The response of a gated service. Dropping it, in whatever state, gives back what it holds.
    pub struct ResponseFuture<S>
    where
        S: Service<Request<Body>>,
    {
        core: Arc<Core>,
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
        Waiting { waiter: Waiter, #[pin] timeout: Sleep, entry: Option<Entry<S>> },
        Running { #[pin] response: Traced<S::Future>, hold: Arc<Hold>, method: Method },
    }
}

/// A request that asks to be let in, and who answers it then.
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
    pub(super) fn rejected(core: Arc<Core>, reject: Reject) -> Self {
        Self { core, arrival: Instant::now(), probe: false, state: State::Rejected { reject } }
    }

    pub(super) fn passing(core: Arc<Core>, mut inner: S, request: Request<Body>, place: PreflightPlace) -> Self {
        let state = State::Passing { response: inner.call(request), place };
        Self { core, arrival: Instant::now(), probe: false, state }
    }

    /// Asks for a permit, after a small body was read.
    pub(super) fn begin(core: Arc<Core>, mut entry: Entry<S>) -> Self {
        let arrival = Instant::now();
        if let Upload::First = entry.upload {
            let body = mem::take(entry.request.body_mut());
            match core.readers().read(body, core.patience_with_bodies()) {
                Ok(reading) => {
                    let state = State::Reading { reading, entry: Some(entry) };
                    return Self { core, arrival, probe: false, state };
                }
                Err(body) => *entry.request.body_mut() = body,
            }
        }
        let (state, probe) = State::enter(&core, entry, arrival);
        Self { core, arrival, probe, state }
    }
}

impl<S: Service<Request<Body>>> State<S> {
    /// Asks for a permit; the other result says whether it is a probe.
    fn enter(core: &Arc<Core>, entry: Entry<S>, now: Instant) -> (Self, bool) {
        let tally = core.limiter().tally();
        tally.arrived(!entry.arrival.excess);
        let probe = match core.check_circuit(now) {
            Ok(probe) => probe,
            Err(reject) => {
                tally.shut_out(!entry.arrival.excess);
                return (Self::Rejected { reject }, false);
            }
        };
        let state = match core.limiter().ask(entry.arrival, now) {
            Admission::Granted { permit, occupancy } => {
                core.warn_when_nearly_full(occupancy);
                Self::run(core, entry, permit, now)
            }
            Admission::Queued(waiter) => {
                let timeout = tokio::time::sleep(waiter.patience);
                Self::Waiting { waiter, timeout, entry: Some(entry) }
            }
            Admission::Rejected(reject) => {
                tally.rejected(!entry.arrival.excess);
                Self::Rejected { reject }
            }
        };
        (state, probe)
    }

    fn run(core: &Core, entry: Entry<S>, permit: Permit, arrival: Instant) -> Self {
        let Entry { mut inner, request, upload, arrival: asked } = entry;
        let (purpose, method) = (purpose(&request), request.method().clone());
        let hold = Hold::new(Arc::clone(core.limiter()), permit, asked, purpose.clone());
        let request = match upload {
            Upload::Here => request,
            Upload::First | Upload::Pieces => {
                request.map(|body| Body::new(Pieces::new(body, Arc::clone(&hold), core.patience_with_bodies())))
            }
        };
        let response = RequestTrace::new(arrival).follow(purpose, inner.call(request));
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
                    let mut response = reject.response(this.core.jitter(), || this.core.occupancy());
                    this.core.stamp(response.headers_mut());
                    return Poll::Ready(Ok(response));
                }
                StateProjection::Passing { response, place: _ } => {
                    let answer = ready!(response.poll(context));
                    return Poll::Ready(answer.map(|response| response.map(GateBody::free)));
                }
                StateProjection::Reading { reading, entry } => match (ready!(reading.poll(context)), entry.take()) {
                    (Ok(body), Some(mut entry)) => {
                        *entry.request.body_mut() = body;
                        *this.arrival = Instant::now();
                        let (state, probe) = State::enter(this.core, entry, *this.arrival);
                        *this.probe = probe;
                        state
                    }
                    (Err(reject), _) => State::Rejected { reject },
                    (Ok(_), None) => State::Rejected { reject: Reject::BodyTimeout },
                },
                StateProjection::Waiting { waiter, timeout, entry } => {
                    // A permit that came in time counts, even when the timeout has passed by now.
                    let granted = match Pin::new(&mut waiter.permit).poll(context) {
                        Poll::Ready(granted) => granted.ok(),
                        Poll::Pending => {
                            ready!(timeout.poll(context));
                            None
                        }
                    };
                    let entry = entry.take();
                    let excess = entry.as_ref().is_some_and(|entry| entry.arrival.excess);
                    match (granted, entry) {
                        (Some(permit), Some(entry)) => State::run(this.core, entry, permit, *this.arrival),
                        _ => {
                            this.core.limiter().tally().rejected(!excess);
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
                    let tally = this.core.limiter().tally();
                    let failed = answer.as_ref().is_ok_and(|response| response.status().is_server_error());
                    if failed {
                        tally.server_error();
                    }
                    // Who got no connection may have been told what an earlier one met: what connects meet is heard of the
                    // pool.
                    if *this.probe && acquired {
                        tally.probed(!failed);
                    }
                    this.core.responses().record(this.arrival.elapsed());
                    match hold.failure() {
                        Some(reject) => State::Rejected { reject },
                        None => {
                            let (mut parts, body) = answer?.into_parts();
                            this.core.stamp(&mut parts.headers);
                            let body = if is_free(method, parts.status, &parts.headers) || body.is_end_stream() {
                                hold.complete();
                                GateBody::free(body)
                            } else {
                                GateBody::begun(body, Arc::clone(hold), Arc::clone(this.core.streams()), context)
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

/// Whether the database does not wait for the end of the body: nobody takes it, or it is a connection of its own, open for
/// as long as the client likes (an upgrade or an event stream), whose number is bounded elsewhere.
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
            State::Waiting { .. } => "waiting",
            State::Running { .. } => "running",
        };
        f.debug_struct("ResponseFuture").field("state", &state).field("arrival", &self.arrival).finish_non_exhaustive()
    }
}
