//! The steps of a request up to its permit. [`Gate::admit`](super::Gate::admit) awaits what lies between them, and
//! [`ResponseFuture`](super::ResponseFuture) polls for it.

use std::{mem, sync::Arc, time::Instant};

use axum::body::Body;
use http::Request;
use poolgate_control::gate::Arrival;
use poolgate_pool::Purpose;

use super::{
    arrival::{Hooks, PreflightPlace},
    core::Core,
    hold::Hold,
    limiter::{Admission, Permit, Queued},
    orders::{Orders, Passage},
    reject::Reject,
    request_body::{Reading, Upload},
    route_figures::Visit,
    trace::purpose,
};

/// A request that is not rejected at its arrival.
pub(super) enum Judged {
    /// It passes uncounted.
    Preflight(PreflightPlace),
    /// It needs a permit.
    Counted(Arrival),
}

impl Core {
    /// Judges a request by its head.
    ///
    /// # Errors
    ///
    /// Its caller sends more than its share.
    pub(super) fn judge(
        &self,
        request: Request<Body>,
        hooks: &Hooks,
        orders: &Orders,
    ) -> Result<(Request<Body>, Judged), Reject> {
        let (parts, body) = request.into_parts();
        if let Some(place) = self.preflights.admit(&parts) {
            return Ok((Request::from_parts(parts, body), Judged::Preflight(place)));
        }
        let now = self.limiter.at(Instant::now());
        let arrival = self.callers.arrival(&parts, hooks, orders.gate.fair_rate_per_second, now);
        let request = Request::from_parts(parts, body);
        match arrival {
            Ok(arrival) => Ok((request, Judged::Counted(arrival))),
            Err(over_quota) => {
                self.limiter.tally().over_quota();
                let visit = self.route_figures.visit(&request, purpose(&request).route());
                visit.arrived();
                visit.rejected();
                Err(over_quota.into())
            }
        }
    }
}

/// A request before its permit.
pub(super) struct Entry {
    request: Request<Body>,
    upload: Upload,
    arrival: Arrival,
    purpose: Purpose,
    visit: Visit,
}

/// The answer to a request for a permit.
pub(super) struct Asked {
    pub(super) turn: Result<Turn, Reject>,
    /// Whether the request passes an open breaker as a probe.
    pub(super) is_probe: bool,
}

/// When the permit comes.
pub(super) enum Turn {
    /// At once.
    Now(Permit),
    /// After a wait. If it is in vain, call [`Entry::miss`].
    Later(Queued),
}

impl Entry {
    pub(super) fn new(core: &Core, request: Request<Body>, arrival: Arrival) -> Self {
        let purpose = purpose(&request);
        let visit = core.route_figures.visit(&request, purpose.route());
        Self { upload: Upload::of(&request), request, arrival, purpose, visit }
    }

    /// Takes out a small body, to be read before the request asks for a permit.
    pub(super) fn read(&mut self, core: &Core) -> Option<Reading> {
        let Upload::First = self.upload else { return None };
        let body = mem::take(self.request.body_mut());
        core.uploads.read(body).map_err(|body| *self.request.body_mut() = body).ok()
    }

    /// Puts the body back.
    pub(super) fn arrived(&mut self, body: Body) {
        *self.request.body_mut() = body;
    }

    /// Asks for a permit.
    pub(super) fn ask(&self, core: &Core, orders: &Orders, now: Instant) -> Asked {
        let (tally, is_demand) = (core.limiter.tally(), !self.arrival.excess);
        tally.arrived(is_demand);
        self.visit.arrived();
        let passage = core.circuit.passage(&orders.gate, now);
        if passage == Passage::Shut {
            tally.shut_out(is_demand);
            self.visit.rejected();
            let retry_after_seconds = orders.gate.retry_after_seconds;
            return Asked { turn: Err(Reject::CircuitOpen { retry_after_seconds }), is_probe: false };
        }
        let turn = match core.limiter.ask(self.arrival, now) {
            Admission::Granted(permit) => Ok(Turn::Now(permit)),
            Admission::Queued(queued) => Ok(Turn::Later(queued)),
            Admission::Rejected(reason) => {
                tally.rejected(is_demand);
                self.visit.rejected();
                Err(reason.into())
            }
        };
        Asked { turn, is_probe: passage == Passage::Probe }
    }

    /// Rejects a queued request whose permit did not come in time.
    pub(super) fn miss(&self, core: &Core) -> Reject {
        core.limiter.tally().rejected(!self.arrival.excess);
        self.visit.rejected();
        Reject::Timeout
    }

    /// The request as the app gets it, with its permit.
    pub(super) fn start(self, core: &Core, permit: Permit) -> (Request<Body>, Arc<Hold>) {
        let Self { request, upload, arrival, purpose, visit } = self;
        let hold = Hold::new(Arc::clone(&core.limiter), permit, arrival, purpose, visit);
        let request = match upload {
            Upload::Complete => request,
            Upload::First | Upload::Pieces => request.map(|body| core.uploads.in_pieces(body, Arc::clone(&hold))),
        };
        (request, hold)
    }
}
