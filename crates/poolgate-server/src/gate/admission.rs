//! Asking the gate by hand. A proxy answers in a task of its own: the app behind it goes on working after a client has
//! left, and the permit stays with that work.

use std::{
    fmt,
    future::poll_fn,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::body::Body;
use http::{HeaderMap, Request, Response, StatusCode};
use tokio::time;

use super::{
    arrival::PreflightPlace,
    core::Core,
    hold::Hold,
    layer::Gate,
    limiter::{Admission, Permit, Queued},
    orders::{Orders, Passage},
    reject::Reject,
    request_body::Upload,
    trace::purpose,
};

impl Gate {
    /// Judges a request, reads a small body, and waits for a permit. A larger body becomes one that gives the permit back
    /// while its sender is waited for.
    ///
    /// # Errors
    ///
    /// [`Rejected`]: the request is not admitted.
    pub async fn admit(&self, request: Request<Body>) -> Result<(Request<Body>, Admitted), Rejected> {
        let core = self.core();
        let mut orders = core.orders();
        let (parts, body) = request.into_parts();
        if let Some(place) = core.preflights.admit(&parts) {
            let work = Work::Uncounted { _place: place };
            return Ok((Request::from_parts(parts, body), Admitted::new(core, &orders, Instant::now(), work)));
        }
        let now = core.limiter.at(Instant::now());
        let arrival = core.callers.arrival(&parts, self.hooks(), orders.gate.fair_rate_per_second, now);
        let arrival = arrival.map_err(|over_quota| {
            core.limiter.tally().over_quota();
            Rejected::new(core, &orders, over_quota.into())
        })?;
        let mut request = Request::from_parts(parts, body);
        let upload = Upload::of(&request);
        if let Upload::First = upload {
            let body = mem::take(request.body_mut());
            *request.body_mut() = match core.uploads.read(body) {
                Ok(mut reading) => {
                    let read = poll_fn(|context| reading.poll(context)).await;
                    read.map_err(|reject| Rejected::new(core, &orders, reject))?
                }
                Err(body) => body,
            };
            // The body may have taken long, and the breaker may have opened since.
            orders = core.orders();
        }
        let (asked, tally, is_demand) = (Instant::now(), core.limiter.tally(), !arrival.excess);
        tally.arrived(is_demand);
        let passage = core.circuit.passage(&orders.gate, asked);
        if passage == Passage::Shut {
            tally.shut_out(is_demand);
            let retry_after_seconds = orders.gate.retry_after_seconds;
            return Err(Rejected::new(core, &orders, Reject::CircuitOpen { retry_after_seconds }));
        }
        let permit = match core.limiter.ask(arrival, asked) {
            Admission::Granted(permit) => Ok(permit),
            Admission::Queued(queued) => wait(queued).await.ok_or(Reject::Timeout),
            Admission::Rejected(reason) => Err(reason.into()),
        };
        let permit = permit.map_err(|reject| {
            tally.rejected(is_demand);
            Rejected::new(core, &orders, reject)
        })?;
        let hold = Hold::new(Arc::clone(&core.limiter), permit, arrival, purpose(&request));
        let request = match upload {
            Upload::Complete => request,
            Upload::First | Upload::Pieces => request.map(|body| core.uploads.in_pieces(body, Arc::clone(&hold))),
        };
        let work = Work::Counted { hold, is_probe: passage == Passage::Probe };
        Ok((request, Admitted::new(core, &orders, asked, work)))
    }

    /// Adds `Poolgate-Config`, and while a limit is enforced `RateLimit-Policy`, as on every response of the gate.
    pub fn stamp(&self, headers: &mut HeaderMap) {
        self.core().orders().stamp(headers);
    }
}

async fn wait(mut queued: Queued) -> Option<Permit> {
    // A permit that came in time counts, even if the timeout has passed by now.
    time::timeout(queued.patience, &mut queued.permit).await.ok()?.ok()
}

/// An admitted request. Its permit is held until [`complete`](Self::complete), or until this is dropped.
pub struct Admitted {
    core: Arc<Core>,
    orders: Arc<Orders>,
    asked: Instant,
    work: Work,
}

enum Work {
    Counted {
        hold: Arc<Hold>,
        is_probe: bool,
    },
    /// A CORS preflight.
    Uncounted {
        _place: PreflightPlace,
    },
}

impl Admitted {
    fn new(core: &Arc<Core>, orders: &Arc<Orders>, asked: Instant, work: Work) -> Self {
        Self { core: Arc::clone(core), orders: Arc::clone(orders), asked, work }
    }

    /// The app has answered. That it did is what a probe of an open breaker wants to know: an app's own error is no sign of
    /// a database that is gone.
    pub fn answered(&self, status: StatusCode) {
        let Work::Counted { is_probe, .. } = self.work else { return };
        let tally = self.core.limiter.tally();
        if status.is_server_error() {
            tally.server_error();
        }
        if is_probe {
            tally.probed(true);
        }
        self.core.responses.record(self.asked.elapsed());
    }

    /// The app has not answered, and will not.
    pub fn unanswered(&self) {
        let Work::Counted { is_probe, .. } = self.work else { return };
        let tally = self.core.limiter.tally();
        tally.server_error();
        if is_probe {
            tally.probed(false);
        }
        self.core.responses.record(self.asked.elapsed());
    }

    /// Why the gate has ended the request while its body was read, if it has.
    pub fn rejected(&self) -> Option<Rejected> {
        let Work::Counted { hold, .. } = &self.work else { return None };
        hold.failure().map(|reject| Rejected::new(&self.core, &self.orders, reject))
    }

    /// The app waits for a reader: the permit goes back meanwhile.
    pub fn set_aside(&self) {
        if let Work::Counted { hold, .. } = &self.work {
            hold.set_aside();
        }
    }

    /// The app goes on: it takes a permit again if one is free.
    pub fn resume(&self) {
        if let Work::Counted { hold, .. } = &self.work
            && let Some(Admission::Granted(permit)) = hold.resume()
        {
            hold.admit(permit);
        }
    }

    /// The app has done its work: the permit goes back.
    pub fn complete(&self) {
        if let Work::Counted { hold, .. } = &self.work {
            hold.complete();
        }
    }

    /// For how long the request has been in, waiting for the permit included.
    pub fn elapsed(&self) -> Duration {
        self.asked.elapsed()
    }
}

impl fmt::Debug for Admitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitted").field("asked", &self.asked).finish_non_exhaustive()
    }
}

/// A rejected request.
pub struct Rejected {
    core: Arc<Core>,
    orders: Arc<Orders>,
    reject: Reject,
}

impl Rejected {
    fn new(core: &Arc<Core>, orders: &Arc<Orders>, reject: Reject) -> Self {
        Self { core: Arc::clone(core), orders: Arc::clone(orders), reject }
    }

    /// Why, in one word: `quota` (the client sent more than its share), `open` (the breaker is open) or `rejected`.
    pub fn outcome(&self) -> &'static str {
        match self.reject {
            Reject::OverQuota { .. } => "quota",
            Reject::CircuitOpen { .. } => "open",
            Reject::QueueFull | Reject::Timeout | Reject::BodyTimeout | Reject::ShuttingDown => "rejected",
        }
    }

    /// What its client is answered, with the headers of the gate.
    pub fn into_response(self) -> Response<Body> {
        let mut response = self.reject.response(&self.core.jitter, || self.core.occupancy());
        self.orders.stamp(response.headers_mut());
        response.map(Body::from)
    }
}

impl fmt::Debug for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rejected").field(&self.reject).finish()
    }
}
