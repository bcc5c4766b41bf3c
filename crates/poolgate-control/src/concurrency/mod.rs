//! The concurrency at which the database does most.
//!
//! Usually a database does at least as much when it works on more requests at a time. A database that runs into locks,
//! caches or processors does less: throughput falls while concurrency rises, and a gate as wide as the pool keeps it
//! there as long as the overload lasts. A database that is slow for another reason can look the same, so the limit is
//! found by trial. A trial needs evidence that more work makes less: within ten seconds after the gate has become full,
//! requests take clearly longer than before, and less is done than was done with fewer requests at a time. Requests that
//! become slow while the gate is full, or that are as slow as ever, are no such evidence: the machine is busy.
//!
//! In a trial the gate admits a few less. If throughput rises, the lower limit stays and the next step is tried. If not,
//! the limit goes back, and the next trial comes so much later that the work lost is at most 0.5 % of the time between.
//! A lowered limit is also tried upwards.
//!
//! Netflix's Vegas and Gradient limits judge by latency alone, and so mistake a slow database for a crowded one.

use std::time::Duration;

use crate::{average::Average, sample::Sample};

/// A step multiplies the limit by this factor or its inverse.
const STEP: f64 = 0.75;
/// A lower limit stays if throughput grows by this factor; a higher one stays if throughput does not fall.
const GAIN: f64 = 1.1;
/// Completed requests that a measured throughput needs; its mean error is then 6 %.
const ENOUGH: f64 = 250.0;
/// A trial ends early when, after this many completed requests, throughput is lower or higher by these factors.
const ENOUGH_TO_SEE: f64 = 80.0;
const CLEARLY_LESS: f64 = 0.8;
const CLEARLY_MORE: f64 = 1.25;
/// The longest count of completed requests.
const LONGEST_COUNT: Duration = Duration::from_secs(10);
/// After this many hold times, requests that end were admitted after the step.
const SETTLE_HOLDS: f64 = 3.0;
/// Pause after a trial without gain; doubled each time up to the longest. A pause is never shorter than the time in which
/// the work that the trial has cost is this share.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
const LARGEST_COST: f64 = 0.005;
/// Requests hold each other up when their hold time is this multiple of the uncrowded hold time, for this long.
const CROWDED: f64 = 1.3;
const CROWDED_FOR: Duration = Duration::from_secs(1);
/// This must show within this time after the gate has become full, and throughput must be below this share of the best
/// that was seen before.
const EVIDENT_WITHIN: Duration = Duration::from_secs(10);
const MADE_LESS: f64 = 0.95;
/// A gate that is not full for a shorter time than this counts as full all the time.
const BLINK: Duration = Duration::from_secs(2);
/// The gate is full at this share of the limit.
const FULL: f64 = 0.9;
/// Time constant of the uncrowded hold time, which is learned while clients are not limited, and of the throughput.
const UNCROWDED_TIME_CONSTANT: Duration = Duration::from_secs(5);
const THROUGHPUT_TIME_CONSTANT: Duration = Duration::from_secs(2);
/// Time in which the best throughput is forgotten.
const BEST_TIME_CONSTANT: Duration = Duration::from_secs(60);
/// After this time without a full gate the limit is all slots again.
const FORGET_AFTER: Duration = Duration::from_secs(60);

/// The limit, at most the number of slots.
#[derive(Clone, Debug)]
pub(crate) struct ConcurrencyLimit {
    limit: u32,
    phase: Phase,
    uncrowded_hold: Average,
    /// Completed requests a second while the gate is not full, and the most of them.
    throughput: Average,
    best: f64,
    crowded_for: Duration,
    /// More work has made less since the gate became full.
    is_evident: bool,
    full_since: Option<Duration>,
    full_at: Duration,
    pause: Duration,
    next_try: Duration,
    /// The direction of the next trial, if both are possible.
    down: bool,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Counts completed requests with the limit in force.
    Watching(Count),
    /// The limit has changed, but requests that end now were admitted before.
    Settling { before: Before, until: Duration },
    /// Counts completed requests with a trial limit.
    Trying { before: Before, count: Count },
}

/// The limit before the trial, and the throughput with it.
#[derive(Clone, Copy, Debug)]
struct Before {
    limit: u32,
    per_second: f64,
    /// When the trial began.
    at: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    completed: f64,
    time: Duration,
}

impl ConcurrencyLimit {
    pub(crate) fn new() -> Self {
        Self {
            limit: u32::MAX,
            phase: Phase::Watching(Count::default()),
            uncrowded_hold: Average::new(UNCROWDED_TIME_CONSTANT),
            throughput: Average::new(THROUGHPUT_TIME_CONSTANT),
            best: 0.0,
            crowded_for: Duration::ZERO,
            is_evident: false,
            full_since: None,
            full_at: Duration::ZERO,
            pause: FIRST_PAUSE,
            next_try: Duration::ZERO,
            down: true,
        }
    }

    /// Takes in what happened during `elapsed`, with the mean hold time in seconds and whether clients are limited.
    /// Returns the limit if it is below the number of slots.
    pub(crate) fn update(
        &mut self,
        sample: &Sample,
        mean_hold: f64,
        limited: bool,
        now: Duration,
        elapsed: Duration,
    ) -> Option<u32> {
        let slots = sample.slots();
        let is_full = f64::from(sample.gate.in_flight) >= FULL * f64::from(self.limit.min(slots));
        if is_full {
            self.full_since.get_or_insert(now);
        } else if now.saturating_sub(self.full_at) > BLINK {
            self.full_since = None;
        }
        if limited && is_full {
            let is_crowded = self.uncrowded_hold.value().is_some_and(|uncrowded| mean_hold > CROWDED * uncrowded);
            self.crowded_for = if is_crowded { self.crowded_for + elapsed } else { Duration::ZERO };
            self.is_evident &= is_crowded;
            self.advance(sample.completed as f64, slots, mean_hold, now, elapsed);
        } else if !limited && !is_full {
            self.learn(sample.completed as f64, mean_hold, elapsed);
        }
        if is_full {
            self.full_at = now;
        }
        if now.saturating_sub(self.full_at) >= FORGET_AFTER {
            let Self { uncrowded_hold, throughput, best, .. } = *self;
            *self = Self { uncrowded_hold, throughput, best, full_at: now, ..Self::new() };
        }
        (self.limit < slots).then_some(self.limit)
    }

    /// Learns how the database works while it has little to do.
    fn learn(&mut self, completed: f64, mean_hold: f64, elapsed: Duration) {
        if completed > 0.0 {
            self.uncrowded_hold.update(mean_hold, elapsed);
        }
        self.throughput.update(completed / elapsed.as_secs_f64().max(1e-3), elapsed);
        let kept = (-elapsed.as_secs_f64() / BEST_TIME_CONSTANT.as_secs_f64()).exp();
        self.best = (self.best * kept).max(self.throughput.value().unwrap_or_default());
    }

    /// The last confirmed limit. Clients follow it while a trial limit is measured.
    pub(crate) fn proven(&self) -> u32 {
        match self.phase {
            Phase::Watching(_) => self.limit,
            Phase::Settling { before, .. } | Phase::Trying { before, .. } => before.limit,
        }
    }

    fn advance(&mut self, completed: f64, slots: u32, mean_hold: f64, now: Duration, elapsed: Duration) {
        match &mut self.phase {
            Phase::Watching(count) => {
                count.add(completed, elapsed);
                let count = *count;
                if count.completed >= ENOUGH {
                    self.phase = Phase::Watching(Count::default());
                    self.begin_try(count.per_second(), slots, mean_hold, now);
                } else if count.time > LONGEST_COUNT {
                    self.phase = Phase::Watching(Count::default());
                }
            }
            Phase::Settling { before, until } if now >= *until => {
                self.phase = Phase::Trying { before: *before, count: Count::default() };
            }
            Phase::Settling { .. } => {}
            Phase::Trying { before, count } => {
                count.add(completed, elapsed);
                let (before, count) = (*before, *count);
                let gain = count.per_second() / before.per_second;
                let is_clear = !(CLEARLY_LESS..CLEARLY_MORE).contains(&gain);
                let enough = if is_clear { ENOUGH_TO_SEE } else { ENOUGH };
                if count.completed >= enough || count.time > LONGEST_COUNT {
                    self.judge(gain, before, now);
                }
            }
        }
    }

    fn begin_try(&mut self, per_second: f64, slots: u32, mean_hold: f64, now: Duration) {
        let limit = self.limit.min(slots);
        let is_lowered = limit < slots;
        let is_new = self.full_since.is_some_and(|since| now.saturating_sub(since) <= EVIDENT_WITHIN);
        self.is_evident |= is_new && self.crowded_for >= CROWDED_FOR && per_second < MADE_LESS * self.best;
        if now < self.next_try || !(is_lowered || self.is_evident) {
            return;
        }
        self.down |= !is_lowered;
        let step = f64::from(limit) * if self.down { STEP } else { STEP.recip() };
        let next = if self.down { (step.floor() as u32).max(1) } else { (step.ceil() as u32).min(slots) };
        if next == limit {
            return self.postpone(Duration::ZERO, now);
        }
        // A limit of all slots is no limit, so that it does not bind when slots are added.
        let before = Before { limit: self.limit, per_second, at: now };
        self.limit = if next == slots { u32::MAX } else { next };
        let until = now.saturating_add(Duration::try_from_secs_f64(SETTLE_HOLDS * mean_hold).unwrap_or(LONGEST_COUNT));
        self.phase = Phase::Settling { before, until };
    }

    fn judge(&mut self, gain: f64, before: Before, now: Duration) {
        let enough = if self.limit < before.limit { GAIN } else { 1.0 };
        self.phase = Phase::Watching(Count::default());
        if gain >= enough {
            // The next step may help, too.
            (self.pause, self.next_try) = (FIRST_PAUSE, now);
        } else {
            self.limit = before.limit;
            let lost = now.saturating_sub(before.at).mul_f64((1.0 - gain).max(0.0));
            self.postpone(lost.div_f64(LARGEST_COST), now);
        }
    }

    fn postpone(&mut self, at_least: Duration, now: Duration) {
        self.down = !self.down;
        self.next_try = now.saturating_add(self.pause.max(at_least));
        self.pause = (2 * self.pause).min(LONGEST_PAUSE);
    }
}

impl Count {
    fn add(&mut self, completed: f64, elapsed: Duration) {
        self.completed += completed;
        self.time += elapsed;
    }

    fn per_second(self) -> f64 {
        self.completed / self.time.as_secs_f64().max(1e-3)
    }
}

#[cfg(test)]
mod tests;
