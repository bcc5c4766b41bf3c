//! What a gated request's task knows about it while it runs.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use axum::extract::MatchedPath;
use http::Request;
use poolgate_pool::Purpose;
use tokio::task::futures::TaskLocalFuture;

use super::{report::Acquired, trace_parent::trace_id};

tokio::task_local! {
    static TRACE: RequestTrace;
}

/// Travels with a gated request through its task, so that the pool's observer knows when the request arrived.
#[derive(Debug)]
pub(crate) struct RequestTrace {
    arrival: Instant,
    /// Its first connection.
    acquired: Cell<Option<Acquired>>,
}

/// A future with a trace in its task, whose leases know their purpose.
pub(super) type Traced<F> = TaskLocalFuture<RequestTrace, TaskLocalFuture<Purpose, F>>;

impl RequestTrace {
    pub(super) fn new(arrival: Instant) -> Self {
        Self { arrival, acquired: Cell::new(None) }
    }

    pub(super) fn follow<F: Future>(self, purpose: Purpose, future: F) -> Traced<F> {
        TRACE.scope(self, purpose.scope(future))
    }

    /// The waits for the request's first connection, if it got one.
    pub(super) fn acquired(&self) -> Option<Acquired> {
        self.acquired.get()
    }

    /// Notes that a connection was acquired after `pool_wait`. Returns the acquire wait, from arrival at the gate until
    /// now. Outside a gated request it is the pool's part alone, and so it is for a request's second connection,
    /// because the time between the two was work.
    pub(crate) fn connection_in_hand(pool_wait: Duration) -> Duration {
        TRACE
            .try_with(|trace| {
                if trace.acquired.get().is_some() {
                    return pool_wait;
                }
                let acquire_wait = trace.arrival.elapsed();
                trace.acquired.set(Some(Acquired { acquire_wait, pool_wait }));
                acquire_wait
            })
            .unwrap_or(pool_wait)
    }
}

/// What a request takes connections for: its method and route, and its trace. Without a matched route it is the method
/// alone, because a path may name a person.
pub(super) fn purpose<B>(request: &Request<B>) -> Purpose {
    let method = request.method().as_str();
    let route = request.extensions().get::<MatchedPath>().map(|route| format!("{method} {}", route.as_str()));
    let purpose = Purpose::new(route.as_deref().unwrap_or(method));
    match trace_id(request.headers()) {
        Some(trace_id) => purpose.with_trace_id(trace_id),
        None => purpose,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purpose_names_the_trace_and_no_path() {
        let of = |traceparent: &str| {
            let request =
                http::Request::get("/orders/7").header("traceparent", traceparent).body(()).expect("a request");
            purpose(&request)
        };
        let known = of("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        assert_eq!((known.route(), known.trace_id()), ("GET", Some("4bf92f3577b34da6a3ce929d0e0e4736")));
        assert_eq!(of("nonsense").trace_id(), None);
    }
}
