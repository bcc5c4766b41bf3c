//! Who and what uses the pool: the activity document, made once a second.

use std::{
    collections::VecDeque,
    panic::Location,
    path::Path,
    time::{Duration, Instant},
};

use poolgate_pool::{LeaseInfo, Purpose};
use poolgate_types::{Activity, LeaseActivity, RouteActivity};

use crate::{
    clients::Registry,
    gate::{PLACES, RouteFigures, RouteTotals},
    latency::Rolling,
    watched::{Upkeep, WatchedPool},
};

/// The window moves in steps, so that it needs little memory: at most 32 routes with 15 histograms of 1.4 kB each.
const STEP: Duration = Duration::from_secs(5);
const STEPS: usize = 12;
const MOST_LEASES: usize = 20;
const MOST_CLIENTS: usize = 20;
/// Stands for routes without a place of their own, and for work outside of requests.
const OTHER_ROUTES: &str = "everything else";

/// Figures of the last minute.
#[derive(Debug)]
pub(super) struct ActivityWindow {
    observed: bool,
    routes: [Option<RouteWindow>; PLACES],
    second_ends: Instant,
    step_ends: Instant,
}

#[derive(Debug)]
struct RouteWindow {
    responses: Rolling,
    /// At the beginning of each step.
    totals: VecDeque<RouteTotals>,
}

impl ActivityWindow {
    /// `observed`: the pool tells how long connections are in use.
    pub(super) fn new(observed: bool) -> Self {
        let now = Instant::now();
        Self { observed, routes: [const { None }; PLACES], second_ends: now, step_ends: now + STEP }
    }

    /// The document, once a second.
    pub(super) fn update(
        &mut self,
        figures: &RouteFigures,
        pool: &dyn WatchedPool,
        clients: &Registry,
    ) -> Option<Activity> {
        let now = Instant::now();
        if now < self.second_ends {
            return None;
        }
        self.second_ends = now + Duration::from_secs(1);
        let turns = now >= self.step_ends;
        if turns {
            self.step_ends = now + STEP;
        }
        let leases = pool.upkeep().map(Upkeep::leases).unwrap_or_default();
        Some(Activity {
            window_seconds: (STEP.as_secs() as u32) * STEPS as u32,
            routes: self.routes(figures, turns, &leases, pool.figures().capacity),
            leases: leases.iter().take(MOST_LEASES).map(lease).collect(),
            clients: clients.worst(MOST_CLIENTS),
        })
    }

    fn routes(
        &mut self,
        figures: &RouteFigures,
        turns: bool,
        leases: &[LeaseInfo],
        capacity: u32,
    ) -> Vec<RouteActivity> {
        let names = figures.names();
        let own = names.iter().map(|name| &**name).enumerate();
        let window = STEP * STEPS as u32;
        let mut routes = Vec::new();
        for (place, name) in own.chain([(PLACES - 1, OTHER_ROUTES)]) {
            let route = self.routes[place].get_or_insert_with(RouteWindow::new);
            route.responses.extend(&figures.take_responses(place));
            let totals = figures.totals(place);
            let mut since = totals.since(&route.totals.front().copied().unwrap_or_default());
            if turns {
                route.turn(totals);
            }
            // What is in use now is counted when it is returned, which may be too late to see who holds the pool.
            let known = |route: &str| names.iter().any(|name| **name == *route);
            let own_leases = leases.iter().filter(|lease| match lease.purpose.as_ref().map(Purpose::route) {
                Some(route) if known(route) => route == name,
                _ => place == PLACES - 1,
            });
            since.connected += own_leases.map(|lease| lease.age.min(window)).sum::<Duration>();
            if since.requests > 0 || since.connected > Duration::ZERO {
                routes.push(self.activity(place, name, since, window.as_secs_f64() * f64::from(capacity)));
            }
        }
        let weight = |route: &RouteActivity| route.connection_seconds.unwrap_or(route.requests as f64);
        routes.sort_by(|one, other| weight(other).total_cmp(&weight(one)));
        routes
    }

    fn activity(&self, place: usize, name: &str, since: RouteTotals, pool_seconds: f64) -> RouteActivity {
        let RouteTotals { requests, rejected, failed, connected } = since;
        let seconds = self.observed.then_some(connected.as_secs_f64());
        RouteActivity {
            route: name.to_owned(),
            requests,
            // What failed in this window may have arrived just before it.
            error_rate: (requests > 0).then(|| ((rejected + failed) as f64 / requests as f64).min(1.0)),
            response_time_ms: self.routes[place].as_ref().and_then(|route| route.responses.percentiles()),
            connection_seconds: seconds,
            pool_share: seconds.filter(|_| pool_seconds > 0.0).map(|seconds| (seconds / pool_seconds).min(1.0)),
        }
    }
}

impl RouteWindow {
    fn new() -> Self {
        Self { responses: Rolling::coarse(STEPS), totals: VecDeque::from([RouteTotals::default()]) }
    }

    fn turn(&mut self, totals: RouteTotals) {
        self.responses.turn();
        self.totals.push_back(totals);
        if self.totals.len() > STEPS {
            self.totals.pop_front();
        }
    }
}

fn lease(lease: &LeaseInfo) -> LeaseActivity {
    LeaseActivity {
        age_seconds: lease.age.as_secs_f64(),
        route: lease.purpose.as_ref().map(|purpose| purpose.route().to_owned()),
        location: place(lease.location),
        trace_id: lease.purpose.as_ref().and_then(Purpose::trace_id).map(str::to_owned),
    }
}

/// `shop/orders.rs:41`: the folders of the machine that built the app are left out.
fn place(location: &Location<'_>) -> String {
    let path = Path::new(location.file());
    let folder = path.parent().and_then(Path::file_name);
    let parts = folder.into_iter().chain(path.file_name()).map(|part| part.to_string_lossy());
    format!("{}:{}", parts.collect::<Vec<_>>().join("/"), location.line())
}
