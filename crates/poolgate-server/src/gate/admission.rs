//! Asking the gate by hand. A proxy answers in a task of its own: the app behind it goes on working after a client has
//! left, and the permit stays with that work.

use std::{
    fmt,
    future::poll_fn,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::body::Body;
use http::{HeaderMap, Request, Response, StatusCode};

use super::{
    arrival::PreflightPlace,
    core::Core,
    entry::{Asked, Entry, Judged, Turn},
    hold::Hold,
    layer::Gate,
    limiter::Admission,
    orders::Orders,
    reject::Reject,
    report::GateReport,
    routes::OnRoute,
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
        let judged = core.judge(request, self.hooks(), &orders);
        let (request, judged) = judged.map_err(|reject| Rejected::new(core, &orders, reject))?;
        let mut entry = match judged {
            Judged::Preflight(place) => {
                let work = Work::Uncounted { _place: place };
                return Ok((request, Admitted::new(core, &orders, Instant::now(), work)));
            }
            Judged::Counted(arrival) => Entry::new(core, request, arrival),
        };
        if let Some(mut reading) = entry.read(core) {
            let body = poll_fn(|context| reading.poll(context)).await;
            entry.arrived(body.map_err(|reject| Rejected::new(core, &orders, reject))?);
            // The body may have taken long, and the breaker may have opened since.
            orders = core.orders();
        }
        let now = Instant::now();
        let Asked { turn, is_probe } = entry.ask(core, &orders, now);
        let permit = match turn {
            Ok(Turn::Now(permit)) => Ok(permit),
            Ok(Turn::Later(queued)) => queued.await.ok_or_else(|| entry.miss(core)),
            Err(reject) => Err(reject),
        };
        let permit = permit.map_err(|reject| {
            let waited = now.elapsed();
            Rejected { asked: now, waited, ..Rejected::new(core, &orders, reject) }
        })?;
        let (request, hold) = entry.start(core, permit);
        let route = core.routes.enter(request.uri().path());
        Ok((request, Admitted::new(core, &orders, now, Work::Counted { hold, is_probe, route })))
    }

    /// Adds `Poolgate-Config`, and while a limit is enforced `RateLimit-Policy`, as on every response of the gate.
    pub fn stamp(&self, headers: &mut HeaderMap) {
        self.core().orders().stamp(headers);
    }
}

/// An admitted request. Its permit is held until [`complete`](Self::complete), or until this is dropped.
pub struct Admitted {
    core: Arc<Core>,
    orders: Arc<Orders>,
    asked: Instant,
    /// Time in the queue.
    waited: Duration,
    work: Work,
}

enum Work {
    Counted {
        hold: Arc<Hold>,
        is_probe: bool,
        route: OnRoute,
    },
    /// A CORS preflight.
    Uncounted {
        _place: PreflightPlace,
    },
}

impl Admitted {
    fn new(core: &Arc<Core>, orders: &Arc<Orders>, asked: Instant, work: Work) -> Self {
        Self { core: Arc::clone(core), orders: Arc::clone(orders), asked, waited: asked.elapsed(), work }
    }

    /// The app has answered. That it did is what a probe of an open breaker wants to know: an app's own error is no sign of
    /// a database that is gone.
    pub fn answered(&self, status: StatusCode) {
        let Work::Counted { hold, is_probe, route } = &self.work else { return };
        route.answered(status);
        hold.answered(status, self.asked.elapsed());
        if *is_probe {
            self.core.limiter.tally().probed(true);
        }
        self.core.responses.record(self.asked.elapsed());
    }

    /// The app has not answered, and will not.
    pub fn unanswered(&self) {
        let Work::Counted { hold, is_probe, .. } = &self.work else { return };
        hold.answered(StatusCode::BAD_GATEWAY, self.asked.elapsed());
        if *is_probe {
            self.core.limiter.tally().probed(false);
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

    /// What the gate did with the request.
    pub fn report(&self) -> GateReport {
        let Self { asked, waited, .. } = *self;
        GateReport { outcome: GateReport::ADMITTED, asked, waited, acquired: None, route: None }
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
    asked: Instant,
    /// Time in the queue.
    waited: Duration,
}

impl Rejected {
    fn new(core: &Arc<Core>, orders: &Arc<Orders>, reject: Reject) -> Self {
        let (asked, waited) = (Instant::now(), Duration::ZERO);
        Self { core: Arc::clone(core), orders: Arc::clone(orders), reject, asked, waited }
    }

    /// Why, in one word: `quota` (the client sent more than its share), `open` (the breaker is open) or `rejected`.
    pub fn outcome(&self) -> &'static str {
        self.reject.outcome()
    }

    /// What the gate did with the request.
    pub fn report(&self) -> GateReport {
        let Self { asked, waited, .. } = *self;
        GateReport { outcome: self.outcome(), asked, waited, acquired: None, route: None }
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
