//! Limits of single routes, as stated by limiters other than the gate: when to return, or how many requests are left.
//!
//! A sign-in route that answers 429 limits only itself. Each route (an origin and a path) has its own pause. The gate's
//! pause applies to all requests and belongs to the [`Throttle`](crate::Throttle).

use std::time::Duration;

use poolgate_types::rng::Rng;

use crate::{pause, span::scaled};

/// Maximum number of remembered routes; when it is reached, the one that is free soonest is dropped.
const MOST_ROUTES: usize = 100;
/// Maximum spread of the releases after a pause.
const WIDEST_SPREAD: Duration = Duration::from_secs(10);

/// The limits of single routes under names that the caller chooses. It has no clock: pass time as for the throttle.
#[derive(Debug)]
pub struct RouteLimits<Name> {
    routes: Vec<(Name, Route)>,
    rng: Rng,
}

/// What a response states about its route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteSignal {
    /// `Retry-After` of a rejection. Takes precedence over the quota.
    pub retry_after: Option<Duration>,
    /// State of the tightest quota.
    pub quota: Option<Quota>,
}

/// A quota as stated by the `RateLimit` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Requests left (`r`).
    pub remaining: u32,
    /// Time until the quota is refilled (`t`).
    pub reset: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
struct Route {
    paused_until: Duration,
    /// Releases are spread over this time after the pause.
    spread: Duration,
    remaining: u32,
    /// Until this time at most `remaining` requests may start.
    counted_until: Duration,
}

impl<Name: PartialEq> RouteLimits<Name> {
    /// No limits yet. `seed` feeds the jitter.
    pub const fn new(seed: u64) -> Self {
        Self { routes: Vec::new(), rng: Rng::new(seed) }
    }

    /// Records what a response states about its route. A pause lasts a minute at most and does not shorten a longer
    /// one.
    pub fn learn(&mut self, route: Name, signal: RouteSignal, now: Duration) {
        let pause = match signal {
            RouteSignal { retry_after: Some(wait), .. } => Some(wait),
            RouteSignal { quota: Some(Quota { remaining: 0, reset }), .. } => Some(reset),
            RouteSignal { quota: Some(Quota { remaining, reset }), .. } => {
                return self.route(route, now).count(remaining, reset, now);
            }
            RouteSignal { retry_after: None, quota: None } => None,
        };
        if let Some(wait) = pause.filter(|wait| !wait.is_zero()) {
            self.route(route, now).pause(wait, now);
        }
    }

    /// Asks to start a request now. `None`: it may start, and it is counted. Otherwise the time to ask again: a random
    /// moment after the pause, so that waiting requests do not all start together.
    pub fn admit(&mut self, route: &Name, now: Duration) -> Option<Duration> {
        let (_, limits) = self.routes.iter_mut().find(|(name, _)| name == route)?;
        let (end, spread) = if limits.paused_until > now {
            (limits.paused_until, limits.spread)
        } else if limits.counted_until <= now {
            return None;
        } else if let Some(left) = limits.remaining.checked_sub(1) {
            limits.remaining = left;
            return None;
        } else {
            (limits.counted_until, spread_of(limits.counted_until - now))
        };
        Some(end.saturating_add(scaled(spread, self.rng.unit())))
    }

    /// The limits of a route. A new route may replace the one whose limits end first.
    fn route(&mut self, name: Name, now: Duration) -> &mut Route {
        let known = self.routes.iter().position(|(known, _)| *known == name);
        let place = known.unwrap_or_else(|| {
            self.routes.retain(|(_, route)| route.ends() > now);
            if self.routes.len() >= MOST_ROUTES {
                let first = self.routes.iter().enumerate().min_by_key(|(_, (_, route))| route.ends());
                let first = first.map_or(0, |(place, _)| place);
                self.routes.swap_remove(first);
            }
            self.routes.push((name, Route::default()));
            self.routes.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "found or just pushed")]
        &mut self.routes[place].1
    }
}

impl Route {
    fn pause(&mut self, wait: Duration, now: Duration) {
        let wait = wait.min(pause::LONGEST);
        let until = now.saturating_add(wait);
        if until > self.paused_until {
            self.paused_until = until;
            self.spread = spread_of(wait);
        }
    }

    /// Responses may arrive out of order; within one window the lowest count is the latest.
    fn count(&mut self, remaining: u32, reset: Duration, now: Duration) {
        if self.counted_until > now {
            self.remaining = self.remaining.min(remaining);
        } else {
            self.remaining = remaining;
            self.counted_until = now.saturating_add(reset.min(pause::LONGEST));
        }
    }

    fn ends(&self) -> Duration {
        self.paused_until.max(self.counted_until)
    }
}

fn spread_of(wait: Duration) -> Duration {
    (wait / 2).min(WIDEST_SPREAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    const fn retry_after(seconds: u64) -> RouteSignal {
        RouteSignal { retry_after: Some(secs(seconds)), quota: None }
    }

    const fn quota(remaining: u32, seconds: u64) -> RouteSignal {
        RouteSignal { retry_after: None, quota: Some(Quota { remaining, reset: secs(seconds) }) }
    }

    #[test]
    fn a_pause_holds_its_own_route_and_no_other() {
        let mut limits = RouteLimits::new(1);
        limits.learn("/login", retry_after(4), secs(10));
        let at = limits.admit(&"/login", secs(11)).unwrap();
        assert!(at >= secs(14) && at <= secs(16), "{at:?}");
        assert_eq!(limits.admit(&"/orders", secs(11)), None);
        assert_eq!(limits.admit(&"/login", at), None);
    }

    #[test]
    fn waiting_requests_are_released_one_by_one() {
        let mut limits = RouteLimits::new(1);
        limits.learn("/", retry_after(10), secs(0));
        let mut ends: Vec<_> = (0..100).map(|_| limits.admit(&"/", secs(1)).unwrap()).collect();
        ends.sort();
        assert!(ends[0] >= secs(10) && ends[99] <= secs(15) && ends[90] - ends[10] > secs(3));
    }

    #[test]
    fn a_shorter_pause_does_not_shorten_one_and_a_minute_is_the_longest() {
        let mut limits = RouteLimits::new(1);
        limits.learn("/", retry_after(30), secs(0));
        limits.learn("/", retry_after(1), secs(1));
        limits.learn("/", RouteSignal { retry_after: Some(Duration::ZERO), quota: None }, secs(1));
        assert!(limits.admit(&"/", secs(29)).is_some());
        limits.learn("/", RouteSignal { retry_after: Some(Duration::MAX), quota: None }, secs(100));
        assert!(limits.admit(&"/", secs(159)).is_some() && limits.admit(&"/", secs(160)).is_none());
    }

    #[test]
    fn a_quota_is_not_exceeded_before_its_reset() {
        let mut limits = RouteLimits::new(1);
        limits.learn("/", quota(3, 20), secs(0));
        assert_eq!((0..3).filter_map(|_| limits.admit(&"/", secs(1))).count(), 0);
        let at = limits.admit(&"/", secs(1)).unwrap();
        assert!(at >= secs(20) && at <= secs(30), "{at:?}");
        assert_eq!(limits.admit(&"/", secs(20)), None);
        assert_eq!(
            (0..100).filter_map(|_| limits.admit(&"/", secs(20))).count(),
            0,
            "of the next window nothing is known"
        );
    }

    #[test]
    fn an_older_answer_gives_nothing_back() {
        let mut limits = RouteLimits::new(1);
        limits.learn("/", quota(2, 20), secs(0));
        limits.learn("/", quota(3, 20), secs(1));
        assert_eq!((0..9).filter_map(|_| limits.admit(&"/", secs(1))).count(), 7);
        limits.learn("/", quota(5, 20), secs(21));
        assert_eq!((0..9).filter_map(|_| limits.admit(&"/", secs(21))).count(), 4);
    }

    #[test]
    fn an_exhausted_quota_pauses_and_retry_after_takes_precedence() {
        let mut limits = RouteLimits::new(1);
        limits.learn("/a", quota(0, 8), secs(0));
        assert!(limits.admit(&"/a", secs(7)).unwrap() >= secs(8));
        let both = RouteSignal { quota: Some(Quota { remaining: 0, reset: secs(50) }), ..retry_after(2) };
        limits.learn("/b", both, secs(0));
        assert!(limits.admit(&"/b", secs(1)).unwrap() <= secs(3) && limits.admit(&"/b", secs(2)).is_none());
    }

    #[test]
    fn a_thousand_routes_take_no_more_room_than_a_hundred() {
        let mut limits = RouteLimits::new(1);
        for number in 0..1000 {
            limits.learn(number, retry_after(10 + number % 50), secs(0));
        }
        assert!(limits.routes.len() == MOST_ROUTES && limits.admit(&49, secs(1)).is_some(), "the longest stay");
        limits.learn(1000, retry_after(1), secs(100));
        assert_eq!(limits.routes.len(), 1, "what is over is forgotten");
    }

    #[test]
    fn extreme_times_do_not_panic() {
        let mut limits = RouteLimits::new(1);
        for signal in [retry_after(u64::MAX), quota(0, u64::MAX), quota(u32::MAX, u64::MAX)] {
            limits.learn("/", signal, Duration::MAX);
            let _ = limits.admit(&"/", Duration::MAX);
            let _ = limits.admit(&"/", Duration::ZERO);
        }
    }
}
