//! A gated request under way: its body is read, it is queued, it runs, or it is rejected.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    extract::MatchedPath,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    arrival::PreflightPlace,
    core::Core,
    entry::{Asked, Entry, Turn},
    hold::Hold,
    limiter::{Permit, Queued},
    orders::Orders,
    reject::Reject,
    report::{Acquired, GateReport},
    request_body::Reading,
    response_body::GateBody,
    server_timing::add_server_timing,
    trace::{RequestTrace, Traced},
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
        wants_report: bool,
        route: Option<MatchedPath>,
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
        Reading { reading: Reading, entry: Option<(Entry, S)> },
        Queued { queued: Queued, entry: Option<(Entry, S)> },
        Running { #[pin] response: Traced<S::Future>, hold: Arc<Hold>, method: Method, queued: Duration },
    }
}

impl<S: Service<Request<Body>>> ResponseFuture<S> {
    pub(super) fn rejected(core: Arc<Core>, orders: Arc<Orders>, reject: Reject) -> Self {
        Self {
            core,
            orders,
            arrival: Instant::now(),
            probe: false,
            wants_report: false,
            route: None,
            state: State::Rejected { reject },
        }
    }

    pub(super) fn passing(
        core: Arc<Core>,
        orders: Arc<Orders>,
        mut inner: S,
        request: Request<Body>,
        place: PreflightPlace,
    ) -> Self {
        let state = State::Passing { response: inner.call(request), place };
        Self { core, orders, arrival: Instant::now(), probe: false, wants_report: false, route: None, state }
    }

    /// Reads a small body; then asks for a permit.
    pub(super) fn begin(core: Arc<Core>, orders: Arc<Orders>, inner: S, mut entry: Entry) -> Self {
        let arrival = Instant::now();
        let (state, probe) = match entry.read(&core) {
            Some(reading) => (State::Reading { reading, entry: Some((entry, inner)) }, false),
            None => State::enter(&core, &orders, entry, inner, arrival),
        };
        Self { core, orders, arrival, probe, wants_report: false, route: None, state }
    }

    /// The response carries a [`GateReport`] that names the route.
    pub(super) fn reporting(self, route: Option<MatchedPath>) -> Self {
        Self { wants_report: true, route, ..self }
    }
}

impl<S: Service<Request<Body>>> State<S> {
    /// Asks for a permit. The second value is whether the request is a probe.
    fn enter(core: &Arc<Core>, orders: &Orders, entry: Entry, inner: S, now: Instant) -> (Self, bool) {
        let Asked { turn, is_probe } = entry.ask(core, orders, now);
        let state = match turn {
            Ok(Turn::Now(permit)) => Self::run(core, entry, inner, permit, now, Duration::ZERO),
            Ok(Turn::Later(queued)) => Self::Queued { queued, entry: Some((entry, inner)) },
            Err(reject) => Self::Rejected { reject },
        };
        (state, is_probe)
    }

    fn run(core: &Core, entry: Entry, mut inner: S, permit: Permit, now: Instant, queued: Duration) -> Self {
        let (request, hold) = entry.start(core, permit);
        let method = request.method().clone();
        let response = RequestTrace::new(now).follow(hold.purpose().clone(), inner.call(request));
        Self::Running { response, hold, method, queued }
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
                    let waited = this.arrival.elapsed();
                    if this.core.server_timing {
                        add_server_timing(response.headers_mut(), [("gate", waited)]);
                    }
                    if *this.wants_report {
                        response.extensions_mut().insert(GateReport {
                            outcome: reject.outcome(),
                            asked: *this.arrival,
                            waited,
                            acquired: None,
                            route: this.route.take(),
                        });
                    }
                    this.orders.stamp(response.headers_mut());
                    return Poll::Ready(Ok(response.map(GateBody::full)));
                }
                StateProjection::Passing { response, place: _ } => {
                    let answer = ready!(response.poll(context));
                    return Poll::Ready(answer.map(|response| response.map(GateBody::free)));
                }
                StateProjection::Reading { reading, entry } => match (ready!(reading.poll(context)), entry.take()) {
                    (Ok(body), Some((mut entry, inner))) => {
                        entry.arrived(body);
                        *this.arrival = Instant::now();
                        // The body may have taken long, and the breaker may have opened since.
                        *this.orders = this.core.orders();
                        let (state, probe) = State::enter(this.core, this.orders, entry, inner, *this.arrival);
                        *this.probe = probe;
                        state
                    }
                    (Err(reject), _) => State::Rejected { reject },
                    (Ok(_), None) => State::Rejected { reject: Reject::BodyTimeout },
                },
                StateProjection::Queued { queued, entry } => {
                    match (ready!(Pin::new(queued).poll(context)), entry.take()) {
                        (Some(permit), Some((entry, inner))) => {
                            State::run(this.core, entry, inner, permit, *this.arrival, this.arrival.elapsed())
                        }
                        (_, entry) => State::Rejected {
                            reject: entry.map_or(Reject::Timeout, |(entry, _)| entry.miss(this.core)),
                        },
                    }
                }
                StateProjection::Running { mut response, hold, method, queued } => {
                    let answer = ready!(response.as_mut().poll(context));
                    let acquired = response.take_value().and_then(|trace| trace.acquired());
                    if acquired.is_some() {
                        hold.connected();
                    }
                    let status = answer.as_ref().map_or(StatusCode::INTERNAL_SERVER_ERROR, Response::status);
                    let waited = this.arrival.elapsed();
                    hold.answered(status, waited);
                    // A request without a connection is no evidence: the pool may have answered it with the failure of
                    // an earlier attempt, and it reports connects by itself.
                    if *this.probe && acquired.is_some() {
                        this.core.limiter.tally().probed(!status.is_server_error());
                    }
                    this.core.responses.record(waited);
                    match hold.failure() {
                        Some(reject) => State::Rejected { reject },
                        None => {
                            let (mut parts, body) = answer?.into_parts();
                            this.orders.stamp(&mut parts.headers);
                            if this.core.server_timing {
                                let pool = acquired.map(|Acquired { pool_wait, .. }| ("pool", pool_wait));
                                add_server_timing(&mut parts.headers, [("gate", *queued)].into_iter().chain(pool));
                            }
                            if *this.wants_report {
                                parts.extensions.insert(GateReport {
                                    outcome: GateReport::ADMITTED,
                                    asked: *this.arrival,
                                    waited: *queued,
                                    acquired,
                                    route: this.route.take(),
                                });
                            }
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

/// Whether the response's body needs no permit: it has none, or it is a connection of its own that stays open as
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
