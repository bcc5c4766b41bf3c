//! What a gate is set to, and the rules that follow.

use std::time::Duration;

/// Shortest and longest target: below the first every queue would count as standing, above the second none.
const TARGETS: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(200));
/// Length, in holds, of a queue that bridges the gaps between random arrivals and random ends of holds. It is measured
/// in holds because it must hold some requests however long each of them takes.
const TARGET_IN_HOLDS: f64 = 2.0;
/// While clients are limited, the queue has places for this many holds, within these bounds. A little more than can be
/// served keeps arriving then, so a queue without such a bound would be as long as it may be all the time. Too many
/// requests are rejected when they come, not when they have waited: a request that waits for nothing leaves a slot idle
/// later. Requests that take a millisecond may wait for twenty, which are places for a burst.
const PLACES_IN_HOLDS: f64 = 2.1;
const PLACES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(400));
/// A caller that has its share of the permits may use one in this many of those places while there are other callers. The
/// rest of its requests are rejected at once: a flood that waits in the queue sends no more than an office whose clients
/// obey, and could not be told from one.
const FOR_A_CROWD: usize = 3;
/// Fewest places, so that a gate of one permit has a next request, too.
const FEWEST_PLACES: usize = 2;
/// The mean hold time to assume while it is unknown.
pub(crate) const DEFAULT_HOLD: Duration = Duration::from_millis(50);
/// A queue is standing after it has been that long for this time. In a healthy system a random pile-up is mostly gone
/// after the longer time.
const INTERVAL: Duration = Duration::from_millis(500);
const INTERVAL_WHILE_LIMITED: Duration = Duration::from_millis(400);
/// A request that has waited this many targets in a standing queue is rejected.
const MAX_AGE_IN_TARGETS: f64 = 2.25;

/// How many requests are admitted, how many are queued, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateSettings {
    /// Requests in flight. Default: 25.
    pub permits: u32,
    /// Requests that may be queued; 0: none. Default: 100.
    pub max_queue: usize,
    /// How long a request may be queued. Default: 500 ms.
    pub timeout: Duration,
    /// Which of equal priorities goes first, and whether old requests are rejected early. Default: adaptive.
    pub order: Order,
}

/// The order in which queued requests of one priority are admitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// First come, first served, until the queue is standing; then light callers and the newest first, and requests
    /// that have waited too long are rejected.
    #[default]
    Adaptive,
    /// Always first come, first served; callers are not told apart.
    Fifo,
}

/// The rules by which waits are judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) order: Order,
    pub(super) timeout: Duration,
    /// Clients are limited.
    limited: bool,
    mean_hold: Duration,
    /// A line is standing while its oldest request waits for longer than this
    pub(super) target: Duration,
    /// for at least this time.
    pub(super) interval: Duration,
    /// Connections are being opened, so no line is standing.
    pub(super) filling: bool,
    /// The longest wait in a standing line.
    pub(super) max_age: Duration,
    /// A request that is admitted with less time than this before its deadline will hardly meet it.
    pub(super) notice: Duration,
}

impl Rules {
    pub(super) fn new(settings: &GateSettings) -> Self {
        let GateSettings { order, timeout, .. } = *settings;
        let zero = Duration::ZERO;
        let rules = Self {
            order,
            timeout,
            limited: false,
            mean_hold: zero,
            target: zero,
            interval: INTERVAL,
            filling: false,
            max_age: zero,
            notice: zero,
        };
        Self { notice: zero, ..rules.with_hold(DEFAULT_HOLD) }
    }

    /// The target is measured in holds. A request with less than half a hold left before its deadline would most likely
    /// be answered too late.
    pub(super) fn with_hold(self, mean_hold: Duration) -> Self {
        let (least, longest) = TARGETS;
        let target = mean_hold.min(2 * longest).mul_f64(TARGET_IN_HOLDS).clamp(least, longest);
        Self { mean_hold, target, max_age: target.mul_f64(MAX_AGE_IN_TARGETS), notice: mean_hold / 2, ..self }
    }

    /// `limited`: the clients are limited.
    pub(super) fn with_limits(self, limited: bool) -> Self {
        Self { limited, interval: if limited { INTERVAL_WHILE_LIMITED } else { INTERVAL }, ..self }
    }

    /// `filling`: admitted requests wait for connections that are being opened.
    pub(super) fn with_filling(self, filling: bool) -> Self {
        Self { filling, ..self }
    }

    /// Requests that may be queued in front of this many permits; `most` by the settings. `crowds`: the newcomer's caller
    /// has its share, and there are others.
    pub(super) fn places(self, permits: u32, most: usize, crowds: bool) -> usize {
        if !self.limited || self.filling || self.order == Order::Fifo {
            return most;
        }
        let hold = self.mean_hold.as_secs_f64().max(1e-6);
        let (least, longest) = PLACES;
        let wait = (PLACES_IN_HOLDS * hold).clamp(least.as_secs_f64(), longest.as_secs_f64());
        let places = (f64::from(permits) * wait / hold).round() as usize;
        let places = if crowds { places / FOR_A_CROWD } else { places };
        places.max(FEWEST_PLACES).min(most)
    }

    /// Latest time at which a request with this deadline can still be admitted.
    pub(super) fn latest_start(&self, deadline: Duration) -> Duration {
        deadline.saturating_sub(self.notice)
    }
}

impl Default for GateSettings {
    fn default() -> Self {
        Self { permits: 25, max_queue: 100, timeout: Duration::from_millis(500), order: Order::Adaptive }
    }
}
