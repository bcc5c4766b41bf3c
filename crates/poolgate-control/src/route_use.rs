//! Which routes of an app use no connection, found from how the connections in use follow the requests in flight.
//!
//! Each sample is one equation: the connections in use are the sum, over the routes, of the requests in flight times the
//! connections that one of them holds. The non-negative least squares over some minutes give the connections per request of
//! each route. A route that holds next to none is a candidate for `gate.bypass`.
//!
//! Routes that always come together cannot be told apart: then the equations fit as well if the route holds a half, and it
//! is no candidate. The result is for people; nothing acts on it.

use std::time::Duration;

/// Routes that are told apart; the last one stands for all others.
pub const MOST_ROUTES: usize = 16;

/// Time constant of the sums.
const TIME_CONSTANT: Duration = Duration::from_secs(120);
/// Nothing is said before this time with requests in flight, in seconds.
const ENOUGH: f64 = 15.0;
/// Time between two solutions.
const INTERVAL: Duration = Duration::from_secs(5);
/// Passes of the coordinate descent; after these the steps are below the noise.
const PASSES: u32 = 60;
/// A candidate holds fewer connections than this,
const NEXT_TO_NONE: f64 = 0.1;
/// has at least this share of the requests in flight,
const WORTH_IT: f64 = 0.05;
/// and its requests in flight vary at least by this share independently of the other routes.
const INDEPENDENT: f64 = 0.1;
/// The connections per request that a candidate must be told apart from.
const DOUBTED: f64 = 0.5;

type Sums = [f64; MOST_ROUTES];

/// Learns which routes use connections.
#[derive(Clone, Debug)]
pub(crate) struct RouteUse {
    /// Products of the requests in flight of each two routes, and those with the connections, over time.
    products: [Sums; MOST_ROUTES],
    with_connections: Sums,
    in_flight: Sums,
    busy: f64,
    since_solved: Duration,
    candidates: u16,
}

impl RouteUse {
    pub(crate) const fn new() -> Self {
        Self {
            products: [[0.0; MOST_ROUTES]; MOST_ROUTES],
            with_connections: [0.0; MOST_ROUTES],
            in_flight: [0.0; MOST_ROUTES],
            busy: 0.0,
            since_solved: Duration::ZERO,
            candidates: 0,
        }
    }

    /// Takes in the requests in flight of each route and the connections in use or waited for, which held for `elapsed`.
    pub(crate) fn update(&mut self, in_flight: &[u32; MOST_ROUTES], connections: f64, elapsed: Duration) {
        let (kept, seconds) = (decay(elapsed), elapsed.as_secs_f64());
        let in_flight = in_flight.map(f64::from);
        for (route, here) in in_flight.iter().enumerate() {
            for (sum, there) in self.products[route].iter_mut().zip(&in_flight) {
                *sum = *sum * kept + here * there * seconds;
            }
            self.with_connections[route] = self.with_connections[route] * kept + here * connections * seconds;
            self.in_flight[route] = self.in_flight[route] * kept + here * seconds;
        }
        let is_busy = in_flight.iter().any(|here| *here > 0.0);
        self.busy = self.busy * kept + if is_busy { seconds } else { 0.0 };
        self.since_solved += elapsed;
        if self.since_solved >= INTERVAL {
            self.since_solved = Duration::ZERO;
            self.candidates = self.solve();
        }
    }

    /// The routes that use next to no connection, one bit for each.
    pub(crate) const fn candidates(&self) -> u16 {
        self.candidates
    }

    fn solve(&self) -> u16 {
        if self.busy < ENOUGH {
            return 0;
        }
        let best = self.fit(None);
        let (least, all) = (self.error(&best), self.in_flight.iter().sum::<f64>());
        // The last one stands for many routes.
        let told_apart = 0..MOST_ROUTES - 1;
        let is_candidate = |route: &usize| {
            let (route, own) = (*route, self.products[*route][*route]);
            best[route] < NEXT_TO_NONE && self.in_flight[route] >= WORTH_IT * all && {
                let worse = self.error(&self.fit(Some(route))) - least;
                worse >= INDEPENDENT * own * (DOUBTED - best[route]).powi(2)
            }
        };
        told_apart.filter(is_candidate).fold(0, |bits, route| bits | 1 << route)
    }

    /// The connections per request of each route that fit best, with one of them held at [`DOUBTED`].
    fn fit(&self, held: Option<usize>) -> Sums {
        let mut each: Sums = [0.0; MOST_ROUTES];
        if let Some(route) = held {
            each[route] = DOUBTED;
        }
        for _ in 0..PASSES {
            for route in (0..MOST_ROUTES).filter(|route| Some(*route) != held) {
                let own = self.products[route][route];
                if own > 0.0 {
                    let explained: f64 = self.products[route].iter().zip(&each).map(|(sum, each)| sum * each).sum();
                    each[route] = (each[route] + (self.with_connections[route] - explained) / own).max(0.0);
                }
            }
        }
        each
    }

    /// The sum of the squares of what is not explained, up to a constant.
    fn error(&self, each: &Sums) -> f64 {
        let rows = self.products.iter().zip(each);
        let explained: f64 =
            rows.map(|(row, here)| here * row.iter().zip(each).map(|(sum, there)| sum * there).sum::<f64>()).sum();
        explained - 2.0 * self.with_connections.iter().zip(each).map(|(sum, each)| sum * each).sum::<f64>()
    }
}

fn decay(elapsed: Duration) -> f64 {
    (-elapsed.as_secs_f64() / TIME_CONSTANT.as_secs_f64()).exp()
}

#[cfg(test)]
mod tests {
    use poolgate_types::rng::Rng;

    use super::*;

    /// Three routes whose requests in flight vary by chance; each holds this many connections.
    fn candidates(each: [f64; 3], together: bool) -> u16 {
        let (mut routes, mut random) = (RouteUse::new(), Rng::new(7));
        for _ in 0..1200 {
            let mut count = || (random.unit() * 10.0) as u32;
            let (first, second, third) = (count(), count(), count());
            let second = if together { first } else { second };
            let mut in_flight = [0; MOST_ROUTES];
            in_flight[..3].copy_from_slice(&[first, second, third]);
            let connections: f64 = each.iter().zip(&in_flight).map(|(each, here)| each * f64::from(*here)).sum();
            let noise = 2.0 * random.unit() - 1.0;
            routes.update(&in_flight, (connections + noise).max(0.0), Duration::from_millis(100));
        }
        routes.candidates()
    }

    #[test]
    fn a_route_without_connections_is_found() {
        assert_eq!(candidates([1.0, 0.0, 0.6], false), 0b010);
        assert_eq!(candidates([0.0, 1.0, 0.0], false), 0b101);
        assert_eq!(candidates([1.0, 0.3, 2.0], false), 0);
    }

    #[test]
    fn routes_that_come_together_are_not_told_apart() {
        assert_eq!(candidates([1.0, 0.0, 0.0], true), 0b100);
    }

    #[test]
    fn little_is_no_evidence() {
        let mut routes = RouteUse::new();
        let mut in_flight = [0; MOST_ROUTES];
        in_flight[0] = 5;
        for _ in 0..120 {
            routes.update(&in_flight, 0.0, Duration::from_millis(100));
        }
        assert_eq!(routes.candidates(), 0, "12 s");
        for _ in 0..120 {
            routes.update(&in_flight, 0.0, Duration::from_millis(100));
        }
        assert_eq!(routes.candidates(), 1, "24 s");
    }
}
