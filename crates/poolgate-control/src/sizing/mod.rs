//! How large the pool should be: the number of connections that will be needed a few seconds from now. Pure.
//!
//! Requests arrive at a forecast rate λ ([Holt's method](https://otexts.com/fpp3/holt.html), damped) and each uses a
//! connection for a mean time T. On average λ · T connections are in use (Little's law). Twice the square root of that
//! on top keeps waiting rare (square-root staffing: a Poisson process of mean m exceeds m + 2√m in 2 % of all moments).
//! The pool grows at once, because opening a connection takes time. It shrinks by one connection every [`SHRINK_EVERY`]
//! after the forecast has asked for less for [`SHRINK_AFTER`]. If the server's limit falls, the pool shrinks to it at
//! once.
//!
//! More connections do not help a database that has slowed down, so T counts for at most 1.5 times its usual value.
//!
//! ```
//! use std::time::Duration;
//! use poolgate_control::sizing::{Load, Sizer, SizingSettings};
//!
//! let settings = SizingSettings { floor: 5, ceiling: 40, horizon: Duration::from_secs(10) };
//! let mut sizer = Sizer::new(settings);
//! let second = Duration::from_secs(1);
//! for n in 1..=30 {
//!     // 10 requests a second more with each second, and each uses a connection for 50 ms.
//!     let arrivals = 10 * n;
//!     let load = Load { arrivals, completed: arrivals, in_use: 50 * Duration::from_millis(arrivals), busy: 0 };
//!     sizer.update(&load, second);
//! }
//! let target = sizer.target(None, 30 * second);
//! assert!(target.forecast.unwrap() > 320.0, "ahead of the 300 of now");
//! assert!((18..=40).contains(&target.size), "{target:?}");
//! ```

mod holt;
mod server_limit;

use std::time::Duration;

use self::holt::Holt;
pub use self::server_limit::{ConnectionLimit, server_limit};
use crate::average::Average;

/// The pool shrinks after the forecast has asked for less for this long.
pub const SHRINK_AFTER: Duration = Duration::from_secs(60);
/// Time between two steps of shrinking, one connection each.
pub const SHRINK_EVERY: Duration = Duration::from_secs(10);
/// Standard deviations of the Poisson distribution that are added to its mean.
const SPARE_DEVIATIONS: f64 = 2.0;
/// Time constants of the mean use time: the present one and the usual one.
const USE_NOW: Duration = Duration::from_secs(10);
const USE_USUALLY: Duration = Duration::from_secs(3600);
/// The present use time counts for at most this multiple of the usual one.
const SLOWDOWN: f64 = 1.5;

/// The range of sizes and the forecast's horizon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizingSettings {
    /// The size without any demand.
    pub floor: u32,
    /// The largest size. A ceiling below the floor counts as the floor.
    pub ceiling: u32,
    /// How far ahead the forecast looks, 1 s to 5 min.
    pub horizon: Duration,
}

/// What the pool had to do since the previous update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests that arrived, including those that were rejected.
    pub arrivals: u64,
    /// Requests that were completed.
    pub completed: u64,
    /// Sum of the times for which the connections that were returned had been in use.
    pub in_use: Duration,
    /// Connections in use now, and callers that wait for one.
    pub busy: u32,
}

/// How large the pool should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// The pool's size, overflow apart.
    pub size: u32,
    /// Connections to open ahead of demand, up to the size.
    pub keep_open: u32,
    /// Expected requests a second at the horizon; `None` before the first update.
    pub forecast: Option<f64>,
}

/// Turns load into sizes.
#[derive(Clone, Debug)]
pub struct Sizer {
    settings: SizingSettings,
    arrivals: Holt,
    /// Counts work that bypasses the gate, too.
    busy: Holt,
    use_now: Average,
    use_usually: Average,
    size: u32,
    /// When the forecast last asked for the whole size or the pool last shrank.
    needed: Duration,
    pause: Duration,
}

impl Sizer {
    /// Starts at the floor.
    pub fn new(settings: SizingSettings) -> Self {
        Self {
            settings,
            arrivals: Holt::default(),
            busy: Holt::default(),
            use_now: Average::new(USE_NOW),
            use_usually: Average::new(USE_USUALLY),
            size: settings.floor,
            needed: Duration::ZERO,
            pause: SHRINK_AFTER,
        }
    }

    /// Takes in what happened in the last `elapsed`, about a second.
    pub fn update(&mut self, load: &Load, elapsed: Duration) {
        self.arrivals.update(load.arrivals as f64 / elapsed.as_secs_f64(), elapsed);
        self.busy.update(f64::from(load.busy), elapsed);
        if load.completed > 0 {
            let mean = load.in_use.as_secs_f64() / load.completed as f64;
            self.use_now.update(mean, elapsed);
            self.use_usually.update(mean, elapsed);
        }
    }

    /// The size to use from now on. `limit` is the largest size that the server's limits allow ([`server_limit()`]); it
    /// does not push the size below the floor. `now` is a monotonic time since an origin of your choice.
    pub fn target(&mut self, limit: Option<u32>, now: Duration) -> Target {
        let SizingSettings { floor, ceiling, horizon } = self.settings;
        let forecast = self.arrivals.ahead(horizon);
        let busy = self.busy.ahead(horizon).unwrap_or(0.0) * self.believed();
        let mean = (forecast.unwrap_or(0.0) * self.use_time() * self.believed()).max(busy);
        let needed = (mean + SPARE_DEVIATIONS * mean.sqrt()).ceil() as u32;
        let highest = ceiling.min(limit.unwrap_or(u32::MAX)).max(floor);
        let wanted = needed.clamp(floor, highest);
        self.size = self.size.min(highest);
        if wanted >= self.size {
            self.size = wanted;
            (self.needed, self.pause) = (now, SHRINK_AFTER);
        } else if now.saturating_sub(self.needed) >= self.pause {
            self.size -= 1;
            (self.needed, self.pause) = (now, SHRINK_EVERY);
        }
        Target { size: self.size, keep_open: needed.min(self.size), forecast }
    }

    /// Mean time for which a request uses a connection, in seconds.
    fn use_time(&self) -> f64 {
        self.use_now.value().unwrap_or(0.0)
    }

    /// The share of the connections in use that counts as demand, 0 to 1: below 1 when the database has slowed down.
    fn believed(&self) -> f64 {
        match (self.use_now.value(), self.use_usually.value()) {
            (Some(now), Some(usually)) if now > SLOWDOWN * usually => SLOWDOWN * usually / now,
            _ => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const SETTINGS: SizingSettings = SizingSettings { floor: 5, ceiling: 50, horizon: Duration::from_secs(10) };

    struct World {
        sizer: Sizer,
        now: Duration,
        limit: Option<u32>,
    }

    impl World {
        fn new() -> Self {
            Self { sizer: Sizer::new(SETTINGS), now: Duration::ZERO, limit: None }
        }

        /// A second in which `arrivals` requests came, each of which used a connection for `use_ms`.
        fn second(&mut self, arrivals: u64, use_ms: u64) -> Target {
            self.now += SECOND;
            let in_use = Duration::from_millis(use_ms * arrivals);
            self.sizer.update(&Load { arrivals, completed: arrivals, in_use, busy: 0 }, SECOND);
            self.sizer.target(self.limit, self.now)
        }

        fn seconds(&mut self, seconds: u64, arrivals: u64, use_ms: u64) -> Target {
            (0..seconds).map(|_| self.second(arrivals, use_ms)).last().unwrap()
        }
    }

    #[test]
    fn without_demand_it_stays_at_the_floor_and_opens_nothing() {
        let target = World::new().seconds(100, 0, 0);
        assert_eq!(target, Target { size: 5, keep_open: 0, forecast: Some(0.0) });
    }

    #[test]
    fn steady_demand_is_met_with_its_mean_and_two_deviations() {
        // 16 in use on average.
        let target = World::new().seconds(60, 160, 100);
        assert_eq!((target.size, target.keep_open), (24, 24));
    }

    #[test]
    fn a_rise_is_met_before_it_arrives() {
        let mut world = World::new();
        world.seconds(60, 50, 100);
        let sizes: Vec<u32> = (0..30).map(|n| world.second(50 + 5 * n, 100).size).collect();
        // At its end 20 are in use on average, and 29 would be enough; ten seconds before, 15 are.
        assert!(sizes[19] >= 24, "{sizes:?}");
        assert!(sizes.windows(2).all(|pair| pair[0] <= pair[1]), "{sizes:?}");
    }

    #[test]
    fn it_shrinks_slowly_and_grows_at_once() {
        let mut world = World::new();
        let large = world.seconds(60, 160, 100).size;
        assert_eq!(world.seconds(50, 10, 100).size, large, "not within a minute");
        let later = world.seconds(60, 10, 100).size;
        assert!((large - 6..large).contains(&later), "one in ten seconds: {large}, {later}");
        assert!(world.seconds(6, 160, 100).size >= large - 1, "back at once");
        assert_eq!(world.seconds(600, 0, 100).size, 5);
    }

    #[test]
    fn it_keeps_to_its_ceiling_and_to_the_servers_limit() {
        let mut world = World::new();
        assert_eq!(world.seconds(60, 2000, 100).size, 50);
        world.limit = Some(30);
        assert_eq!(world.seconds(1, 2000, 100).size, 30, "at once: others need the rest");
        assert_eq!(world.seconds(1, 0, 0).size, 30, "but slowly below what the limit allows");
        world.limit = Some(2);
        assert_eq!(world.seconds(1, 2000, 100).size, 5, "the floor is what the operator said");
    }

    #[test]
    fn a_database_that_slows_down_gets_no_flood_of_connections() {
        let mut world = World::new();
        assert_eq!(world.seconds(600, 100, 100).size, 17);
        let slow = world.seconds(60, 100, 1000);
        assert!(slow.size < 30, "ten times as slow, and not 120 connections: {slow:?}");
    }

    #[test]
    fn work_that_bypasses_the_gate_counts_too() {
        let mut sizer = Sizer::new(SETTINGS);
        for _ in 0..30 {
            sizer.update(&Load { busy: 16, ..Load::default() }, SECOND);
        }
        assert_eq!(sizer.target(None, SECOND).size, 24);
    }
}
