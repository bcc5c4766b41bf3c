//! The requests in flight by route: the first part of the path.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use arc_swap::ArcSwap;
use http::StatusCode;
use poolgate_control::MOST_ROUTES;

/// Longer parts are none that an operator would name.
const LONGEST: usize = 64;
/// All routes without a place of their own.
const OTHERS: usize = MOST_ROUTES - 1;

/// Counts the requests in flight of each route. A route gets a place when the app has answered it with success, so that
/// scanners and typing errors get none.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    names: ArcSwap<Vec<Box<str>>>,
    growing: Mutex<()>,
    in_flight: [AtomicU32; MOST_ROUTES],
}

/// A request that is counted until this is dropped.
#[derive(Debug)]
pub(super) struct OnRoute {
    routes: Arc<Routes>,
    place: usize,
    /// The route's name, if it has no place yet.
    new: Option<Box<str>>,
}

impl Routes {
    pub(super) fn enter(self: &Arc<Self>, path: &str) -> OnRoute {
        let (name, names) = (route(path), self.names.load());
        let place = names.iter().position(|known| **known == *name);
        let new = (place.is_none() && names.len() < OTHERS && name.len() <= LONGEST).then(|| name.into());
        let place = place.unwrap_or(OTHERS);
        self.in_flight[place].fetch_add(1, Relaxed);
        OnRoute { routes: Arc::clone(self), place, new }
    }

    /// The requests in flight of each route.
    pub(crate) fn in_flight(&self) -> [u32; MOST_ROUTES] {
        std::array::from_fn(|place| self.in_flight[place].load(Relaxed))
    }

    /// The names of the routes whose bits are set.
    pub(crate) fn named(&self, bits: u16) -> Vec<String> {
        let names = self.names.load();
        let set = names.iter().enumerate().filter(|(place, _)| bits & 1 << place != 0);
        set.map(|(_, name)| name.to_string()).collect()
    }

    fn grow(&self, name: &str) {
        let _growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        let names = self.names.load();
        if names.len() < OTHERS && !names.iter().any(|known| **known == *name) {
            self.names.store(Arc::new(names.iter().cloned().chain([name.into()]).collect()));
        }
    }
}

impl OnRoute {
    pub(super) fn answered(&self, status: StatusCode) {
        if let Some(name) = self.new.as_ref().filter(|_| status.is_success() || status.is_redirection()) {
            self.routes.grow(name);
        }
    }
}

impl Drop for OnRoute {
    fn drop(&mut self) {
        self.routes.in_flight[self.place].fetch_sub(1, Relaxed);
    }
}

/// `/static/` of `/static/app.css`, `/orders` of `/orders`.
pub(super) fn route(path: &str) -> &str {
    let end = path.get(1..).and_then(|rest| rest.find('/')).map_or(path.len(), |slash| slash + 2);
    &path[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_the_first_part_of_the_path() {
        for (path, expected) in [("/static/app.css", "/static/"), ("/orders", "/orders"), ("/", "/"), ("//x", "//")] {
            assert_eq!(route(path), expected);
        }
    }

    #[test]
    fn a_route_is_counted_by_itself_after_its_first_success() {
        let routes = Arc::<Routes>::default();
        let first = routes.enter("/orders/1");
        assert_eq!(routes.in_flight()[OTHERS], 1);
        first.answered(StatusCode::NOT_FOUND);
        assert!(routes.named(u16::MAX).is_empty());
        first.answered(StatusCode::OK);
        drop(first);
        let second = routes.enter("/orders/2");
        assert_eq!((routes.in_flight()[0], routes.in_flight()[OTHERS]), (1, 0));
        drop(second);
        assert_eq!((routes.in_flight()[0], routes.named(1)), (0, vec!["/orders/".to_owned()]));
        for number in 0..100 {
            routes.enter(&format!("/{number}")).answered(StatusCode::OK);
        }
        assert_eq!(routes.named(u16::MAX).len(), OTHERS, "bounded");
    }
}
