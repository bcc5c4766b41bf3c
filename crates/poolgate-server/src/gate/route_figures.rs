//! What the requests of each route met: the figures that tell an operator which route hurts.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use axum::extract::MatchedPath;
use http::{Method, Request};

use super::routes;
use crate::latency::{Interval, Latency};

/// Routes with figures of their own, and one place for all others.
pub(crate) const PLACES: usize = 32;
const OTHERS: usize = PLACES - 1;
/// Longer names are none that an operator would read.
const LONGEST: usize = 100;

/// Figures of each route. A route that the app's router knows gets a place with its first request. Of other paths the
/// first part gets one when the app has answered it with success, so that scanners and typing errors get none.
#[derive(Debug)]
pub(crate) struct RouteFigures {
    names: ArcSwap<Vec<Box<str>>>,
    growing: Mutex<()>,
    places: [Place; PLACES],
}

#[derive(Debug)]
struct Place {
    requests: AtomicU64,
    rejected: AtomicU64,
    failed: AtomicU64,
    connected_nanos: AtomicU64,
    responses: Latency,
}

/// The figures of one route since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RouteTotals {
    pub(crate) requests: u64,
    pub(crate) rejected: u64,
    /// Answered with 5xx, or given up by the client.
    pub(crate) failed: u64,
    /// Time with a connection.
    pub(crate) connected: Duration,
}

impl RouteTotals {
    /// The difference to an earlier reading.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(earlier.requests),
            rejected: self.rejected.saturating_sub(earlier.rejected),
            failed: self.failed.saturating_sub(earlier.failed),
            connected: self.connected.saturating_sub(earlier.connected),
        }
    }
}

/// One request, to be counted for its route.
#[derive(Debug)]
pub(super) struct Visit {
    figures: Arc<RouteFigures>,
    place: usize,
    /// The route's name, if it has no place yet.
    new: Option<Box<str>>,
}

impl Default for RouteFigures {
    fn default() -> Self {
        let place = |_| Place {
            requests: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            connected_nanos: AtomicU64::new(0),
            responses: Latency::coarse(),
        };
        Self { names: ArcSwap::default(), growing: Mutex::default(), places: std::array::from_fn(place) }
    }
}

impl RouteFigures {
    /// `matched`: the route as the app's router names it, with its method.
    pub(super) fn visit<B>(self: &Arc<Self>, request: &Request<B>, matched: &str) -> Visit {
        let is_matched = request.extensions().get::<MatchedPath>().is_some() && is_common(request.method());
        let name = if is_matched { matched } else { routes::route(request.uri().path()) };
        let place = self.place(name).or_else(|| is_matched.then(|| self.grow(name)).flatten());
        let new = (place.is_none() && !is_matched && self.may_grow(name)).then(|| name.into());
        Visit { figures: Arc::clone(self), place: place.unwrap_or(OTHERS), new }
    }

    /// A request of this route has given a connection back.
    pub(crate) fn connected(&self, route: Option<&str>, time: Duration) {
        let place = route.and_then(|route| self.place(route)).unwrap_or(OTHERS);
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.places[place].connected_nanos.fetch_add(nanos, Relaxed);
    }

    /// The routes with a place of their own; their places are the first ones.
    pub(crate) fn names(&self) -> Arc<Vec<Box<str>>> {
        self.names.load_full()
    }

    pub(crate) fn totals(&self, place: usize) -> RouteTotals {
        let Place { requests, rejected, failed, connected_nanos, .. } = &self.places[place];
        RouteTotals {
            requests: requests.load(Relaxed),
            rejected: rejected.load(Relaxed),
            failed: failed.load(Relaxed),
            connected: Duration::from_nanos(connected_nanos.load(Relaxed)),
        }
    }

    /// The response times since the last call.
    pub(crate) fn take_responses(&self, place: usize) -> Interval {
        self.places[place].responses.take()
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.names.load().iter().position(|known| **known == *name)
    }

    fn may_grow(&self, name: &str) -> bool {
        name.len() <= LONGEST && self.names.load().len() < OTHERS
    }

    fn grow(&self, name: &str) -> Option<usize> {
        let _growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.place(name).is_none() && self.may_grow(name) {
            let names = self.names.load();
            self.names.store(Arc::new(names.iter().cloned().chain([name.into()]).collect()));
        }
        self.place(name)
    }
}

impl Visit {
    pub(super) fn arrived(&self) {
        self.at().requests.fetch_add(1, Relaxed);
    }

    pub(super) fn rejected(&self) {
        self.at().rejected.fetch_add(1, Relaxed);
    }

    pub(super) fn failed(&self) {
        self.at().failed.fetch_add(1, Relaxed);
    }

    /// The app has answered after this time.
    pub(super) fn answered(&self, is_success: bool, after: Duration) {
        self.at().responses.record(after);
        if let Some(name) = self.new.as_ref().filter(|_| is_success) {
            self.figures.grow(name);
        }
    }

    fn at(&self) -> &Place {
        &self.figures.places[self.place]
    }
}

/// Others are invented by clients.
fn is_common(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::PATCH | Method::DELETE | Method::OPTIONS
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(figures: &Arc<RouteFigures>, path: &str) -> Visit {
        figures.visit(&Request::get(path).body(()).expect("a request"), "GET")
    }

    #[test]
    fn a_path_has_figures_of_its_own_after_its_first_success() {
        let figures = Arc::<RouteFigures>::default();
        let first = visit(&figures, "/orders/1");
        first.arrived();
        first.answered(false, Duration::from_millis(5));
        assert!(figures.names().is_empty());
        assert_eq!(figures.totals(OTHERS).requests, 1);
        first.answered(true, Duration::from_millis(5));
        let second = visit(&figures, "/orders/2");
        second.arrived();
        second.failed();
        figures.connected(Some("/orders/"), Duration::from_secs(2));
        assert_eq!(
            figures.totals(0),
            RouteTotals { requests: 1, rejected: 0, failed: 1, connected: Duration::from_secs(2) }
        );
    }

    #[test]
    fn the_number_of_routes_is_bounded() {
        let figures = Arc::<RouteFigures>::default();
        for number in 0..100 {
            visit(&figures, &format!("/{number}")).answered(true, Duration::ZERO);
        }
        visit(&figures, &format!("/{}", "x".repeat(200))).arrived();
        assert_eq!((figures.names().len(), figures.totals(OTHERS).requests), (OTHERS, 1));
    }
}
