//! A gated request on its way: waiting, running, or turned away.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use pin_project_lite::pin_project;
use poolgate_pool::Purpose;
use tokio::time::Sleep;
use tower_service::Service;

use super::{
    body::GateBody,
    core::Core,
    limiter::Waiter,
    permit::Permit,
    preflight::PreflightPlace,
    reject::Reject,
    trace::{RequestTrace, Traced},
};

pin_project! {
    /// The response of a gated service. Dropping it, in whatever state, gives back what it holds.
    pub struct ResponseFuture<S, R>
    where
        S: Service<R>,
    {
        core: Arc<Core>,
        arrival: Instant,
        probe: bool,
        #[pin]
        state: State<S, R>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, R>
    where
        S: Service<R>,
    {
        Rejected { reject: Reject },
        Passing { #[pin] response: S::Future, place: PreflightPlace },
        Waiting { waiter: Waiter, #[pin] timeout: Sleep, call: Option<(S, (R, Purpose))> },
        Running { #[pin] response: Traced<S::Future>, permit: Option<Permit> },
    }
}

impl<S: Service<R>, R> ResponseFuture<S, R> {
    pub(super) fn rejected(core: Arc<Core>, reject: Reject) -> Self {
        Self { core, arrival: Instant::now(), probe: false, state: State::Rejected { reject } }
    }

    pub(super) fn passing(core: Arc<Core>, mut inner: S, request: R, place: PreflightPlace) -> Self {
        let state = State::Passing { response: inner.call(request), place };
        Self { core, arrival: Instant::now(), probe: false, state }
    }

    pub(super) fn waiting(
        core: Arc<Core>,
        inner: S,
        request: (R, Purpose),
        waiter: Waiter,
        arrival: Instant,
        probe: bool,
    ) -> Self {
        let timeout = tokio::time::sleep(waiter.patience);
        let state = State::Waiting { waiter, timeout, call: Some((inner, request)) };
        Self { core, arrival, probe, state }
    }

    pub(super) fn running(
        core: Arc<Core>,
        inner: S,
        request: (R, Purpose),
        permit: Permit,
        arrival: Instant,
        probe: bool,
    ) -> Self {
        Self { core, arrival, probe, state: State::run(inner, request, permit, arrival) }
    }
}

impl<S: Service<R>, R> State<S, R> {
    fn run(mut inner: S, (request, purpose): (R, Purpose), mut permit: Permit, arrival: Instant) -> Self {
        permit.begin();
        let response = RequestTrace::new(arrival).follow(purpose, inner.call(request));
        Self::Running { response, permit: Some(permit) }
    }
}

impl<S, R, B> Future for ResponseFuture<S, R>
where
    S: Service<R, Response = Response<B>>,
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
                    return Poll::Ready(answer.map(|response| response.map(|body| GateBody::new(body, None))));
                }
                StateProjection::Waiting { waiter, timeout, call } => {
                    // A permit that came in time counts, even when the timeout has passed by now.
                    let granted = match Pin::new(&mut waiter.permit).poll(context) {
                        Poll::Ready(granted) => granted.ok(),
                        Poll::Pending => {
                            ready!(timeout.poll(context));
                            None
                        }
                    };
                    match (granted, call.take()) {
                        (Some(permit), Some((inner, request))) => State::run(inner, request, permit, *this.arrival),
                        _ => {
                            this.core.limiter().tally().rejected();
                            State::Rejected { reject: Reject::Timeout }
                        }
                    }
                }
                StateProjection::Running { mut response, permit } => {
                    let answer = ready!(response.as_mut().poll(context));
                    let acquired = response.take_value().is_some_and(|trace| trace.acquired());
                    let permit = permit.take();
                    let tally = this.core.limiter().tally();
                    let failed = answer.as_ref().is_ok_and(|response| response.status().is_server_error());
                    if failed {
                        tally.server_error();
                    }
                    if *this.probe && (failed || acquired) {
                        tally.probed(!failed);
                    }
                    this.core.responses().record(this.arrival.elapsed());
                    let (mut parts, body) = answer?.into_parts();
                    this.core.stamp(&mut parts.headers);
                    let permit = permit.filter(|_| !outlives_the_head(parts.status, &parts.headers));
                    return Poll::Ready(Ok(Response::from_parts(parts, GateBody::new(body, permit))));
                }
            };
            this.state.set(next);
        }
    }
}

/// Whether the body is a connection of its own, open for as long as the client likes: an upgrade or an event stream.
/// Such a body must not hold a permit; its number is bounded elsewhere.
fn outlives_the_head(status: StatusCode, headers: &HeaderMap) -> bool {
    let is_event_stream = |value: &HeaderValue| value.as_bytes().starts_with(b"text/event-stream");
    status == StatusCode::SWITCHING_PROTOCOLS || headers.get(header::CONTENT_TYPE).is_some_and(is_event_stream)
}

impl<S: Service<R>, R> fmt::Debug for ResponseFuture<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Rejected { .. } => "rejected",
            State::Passing { .. } => "passing",
            State::Waiting { .. } => "waiting",
            State::Running { .. } => "running",
        };
        f.debug_struct("ResponseFuture").field("state", &state).field("arrival", &self.arrival).finish_non_exhaustive()
    }
}
