//! What a gate can be told.

use std::time::Duration;

/// Below the first every queue would be called standing, above the second none.
const TARGETS: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(200));
/// A queue that bridges the gaps between random arrivals and random ends of holds is so long, in holds. In holds and not
/// in milliseconds, for it must hold some requests however long each of them takes.
const TARGET_IN_HOLDS: f64 = 0.7;
/// While nothing is known about hold times.
const DEFAULT_HOLD: Duration = Duration::from_millis(50);
/// For how long a queue must be that long to be called standing. What chance piles up in a healthy system is mostly gone after
/// the longer one; where clients are limited, arrivals and capacity are nearly equal, and the queue must be kept short.
const INTERVAL: Duration = Duration::from_millis(500);
const INTERVAL_WHILE_LIMITED: Duration = Duration::from_millis(125);
/// Who waits longer than this many targets in a standing queue is turned away.
const MAX_AGE_IN_TARGETS: f64 = 2.25;

/// How many are let in, how many wait, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateSettings {
    /// Requests in flight. Default: 25.
    pub permits: u32,
    /// Requests that wait; 0: none. Default: 100.
    pub max_queue: usize,
    /// How long a request waits at the most. Default: 500 ms.
    pub timeout: Duration,
    /// Who is let in first among equal priorities, and when waiting is given up early. Default: adaptive.
    pub order: Order,
}

/// In which order waiting requests of one priority are let in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// First come, first served, until the queue is standing; then light callers and the newest first, and who has waited
    /// for long is turned away.
    #[default]
    Adaptive,
    /// First come, first served, always; callers are not told apart.
    Fifo,
}

/// By which waits are judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) order: Order,
    pub(super) timeout: Duration,
    /// A line whose oldest waiter stays above this is standing.
    pub(super) target: Duration,
    /// For so long.
    pub(super) interval: Duration,
    /// Connections are being opened: no line is standing.
    pub(super) filling: bool,
    /// How old a waiter of a standing line gets.
    pub(super) max_age: Duration,
    /// Who is let in with less time than this before its deadline will hardly meet it.
    pub(super) notice: Duration,
}

impl Rules {
    pub(super) fn new(settings: &GateSettings) -> Self {
        let GateSettings { order, timeout, .. } = *settings;
        let zero = Duration::ZERO;
        let rules =
            Self { order, timeout, target: zero, interval: INTERVAL, filling: false, max_age: zero, notice: zero };
        Self { notice: Duration::ZERO, ..rules.with_hold(DEFAULT_HOLD) }
    }

    /// A standing queue is long in holds, and who has less than half a hold left before its deadline would be answered too
    /// late, most likely.
    pub(super) fn with_hold(self, mean_hold: Duration) -> Self {
        let (least, longest) = TARGETS;
        let target = mean_hold.min(2 * longest).mul_f64(TARGET_IN_HOLDS).clamp(least, longest);
        Self { target, max_age: target.mul_f64(MAX_AGE_IN_TARGETS), notice: mean_hold / 2, ..self }
    }

    /// Whether the clients are limited.
    pub(super) fn with_limits(self, limited: bool) -> Self {
        Self { interval: if limited { INTERVAL_WHILE_LIMITED } else { INTERVAL }, ..self }
    }

    /// Whether connections are being opened that those who were let in wait for.
    pub(super) fn with_filling(self, filling: bool) -> Self {
        Self { filling, ..self }
    }

    /// When who has this deadline must be let in.
    pub(super) fn latest_start(&self, deadline: Duration) -> Duration {
        deadline.saturating_sub(self.notice)
    }
}

impl Default for GateSettings {
    fn default() -> Self {
        Self { permits: 25, max_queue: 100, timeout: Duration::from_millis(500), order: Order::Adaptive }
    }
}
