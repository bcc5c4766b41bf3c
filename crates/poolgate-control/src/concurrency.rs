//! The concurrency at which the database does most.
//!
//! Usually a database does at least as much when it works on more requests at a time. A database that runs into locks,
//! caches or processors does less: throughput falls while concurrency rises, and a gate as wide as the pool keeps it
//! there as long as the overload lasts. A database that is slow for any other reason looks the same, so the limit is
//! found by trial: while clients are limited, the gate is full and requests take clearly longer than otherwise, the
//! gate admits a few less. If throughput rises, the lower limit stays and the next step is tried. If not, the limit
//! goes back and the next trial comes much later. A lowered limit is also tried upwards.
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
/// Pause after a trial without gain; doubled each time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// Requests hold each other up when their hold time is this multiple of the uncrowded hold time, for this long.
const CROWDED: f64 = 1.3;
const CROWDED_FOR: Duration = Duration::from_secs(1);
/// The gate is full at this share of the limit.
const FULL: f64 = 0.9;
/// Time constant of the uncrowded hold time, which is learned while clients are not limited.
const UNCROWDED_TIME_CONSTANT: Duration = Duration::from_secs(5);
/// After this time without a full gate the limit is all slots again.
const FORGET_AFTER: Duration = Duration::from_secs(60);

/// The limit, at most the number of slots.
#[derive(Clone, Debug)]
pub(crate) struct ConcurrencyLimit {
    limit: u32,
    phase: Phase,
    uncrowded_hold: Average,
    crowded_for: Duration,
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
            crowded_for: Duration::ZERO,
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
        if limited && is_full {
            self.full_at = now;
            let is_crowded = self.uncrowded_hold.value().is_none_or(|uncrowded| mean_hold > CROWDED * uncrowded);
            self.crowded_for = if is_crowded { self.crowded_for + elapsed } else { Duration::ZERO };
            self.advance(sample.completed as f64, slots, mean_hold, now, elapsed);
        } else if !limited && !is_full && sample.completed > 0 {
            self.uncrowded_hold.update(mean_hold, elapsed);
        }
        if now.saturating_sub(self.full_at) >= FORGET_AFTER {
            *self = Self { uncrowded_hold: self.uncrowded_hold, full_at: now, ..Self::new() };
        }
        (self.limit < slots).then_some(self.limit)
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
        if now < self.next_try || !(is_lowered || self.crowded_for >= CROWDED_FOR) {
            return;
        }
        self.down |= !is_lowered;
        let step = f64::from(limit) * if self.down { STEP } else { STEP.recip() };
        let next = if self.down { (step.floor() as u32).max(1) } else { (step.ceil() as u32).min(slots) };
        if next == limit {
            return self.postpone(now);
        }
        // A limit of all slots is no limit, so that it does not bind when slots are added.
        let before = Before { limit: self.limit, per_second };
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
            self.postpone(now);
        }
    }

    fn postpone(&mut self, now: Duration) {
        self.down = !self.down;
        self.next_try = now.saturating_add(self.pause);
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
mod tests {
    use super::*;
    use crate::sample::{GateSample, PoolSample};

    const TICK: Duration = Duration::from_millis(100);

    /// A database of 20 slots and 50 ms that does best with `knee` requests at a time. Beyond, everything takes longer by
    /// the square of the excess.
    struct Overload {
        limit: ConcurrencyLimit,
        knee: f64,
        slowdown: f64,
        now: Duration,
        in_force: u32,
        done: f64,
    }

    impl Overload {
        fn new(knee: u32) -> Self {
            let mut world = Self {
                limit: ConcurrencyLimit::new(),
                knee: knee.into(),
                slowdown: 1.0,
                now: Duration::ZERO,
                in_force: 20,
                done: 0.0,
            };
            // What is learned while there is little to do.
            (0..100).for_each(|_| world.tick(4, false));
            world
        }

        fn tick(&mut self, wanted: u32, limited: bool) {
            self.now += TICK;
            let in_flight = wanted.min(self.in_force);
            let crowd = (f64::from(in_flight) / self.knee).max(1.0);
            let hold = 0.05 * self.slowdown * crowd * crowd;
            let completed = f64::from(in_flight) / hold * TICK.as_secs_f64();
            let sample = Sample {
                pool: PoolSample { capacity: 30, ..PoolSample::default() },
                gate: GateSample { permits: 20, in_flight, ..GateSample::default() },
                completed: completed.round() as u64,
                ..Sample::default()
            };
            self.done += completed;
            self.in_force = self.limit.update(&sample, hold, limited, self.now, TICK).unwrap_or(20);
        }

        /// Requests done in `seconds` of overload, as a share of what is possible.
        fn share(&mut self, seconds: u32) -> f64 {
            self.done = 0.0;
            (0..10 * seconds).for_each(|_| self.tick(100, true));
            self.done / (self.knee.min(20.0) / 0.05 / self.slowdown * f64::from(seconds))
        }
    }

    #[test]
    fn a_database_that_does_less_the_more_it_works_on_gets_less_at_a_time() {
        let mut world = Overload::new(10);
        world.share(20);
        assert!((8..=12).contains(&world.in_force), "{}", world.in_force);
        assert!(world.share(60) > 0.9, "in force {}", world.in_force);
    }

    #[test]
    fn one_that_does_more_keeps_all_slots() {
        let mut world = Overload::new(100);
        assert!(world.share(60) > 0.999);
        assert_eq!(world.in_force, 20);
    }

    #[test]
    fn one_that_is_slow_for_another_reason_keeps_them_but_for_a_short_try() {
        let mut world = Overload::new(100);
        world.slowdown = 4.0;
        assert!(world.share(30) > 0.95);
        assert_eq!(world.in_force, 20);
        assert!(world.share(600) > 0.99, "tries become rare");
    }

    #[test]
    fn the_slots_come_back_with_the_throughput() {
        let mut world = Overload::new(10);
        world.share(20);
        world.knee = 100.0;
        assert!(world.share(120) > 0.5);
        assert_eq!(world.in_force, 20);
    }

    #[test]
    fn and_when_there_is_nothing_to_do() {
        let mut world = Overload::new(10);
        world.share(20);
        (0..700).for_each(|_| world.tick(2, false));
        assert_eq!(world.in_force, 20);
    }

    #[test]
    fn a_try_that_brought_nothing_limits_no_larger_pool() {
        let mut world = Overload::new(100);
        world.slowdown = 4.0;
        world.share(30);
        let sample = Sample {
            pool: PoolSample { capacity: 60, ..PoolSample::default() },
            gate: GateSample { permits: 40, in_flight: 40, ..GateSample::default() },
            completed: 20,
            ..Sample::default()
        };
        assert_eq!(world.limit.update(&sample, 0.2, true, world.now + TICK, TICK), None);
    }

    #[test]
    fn one_slot_stays_one() {
        let mut limit = ConcurrencyLimit::new();
        let sample = Sample {
            pool: PoolSample { capacity: 1, ..PoolSample::default() },
            gate: GateSample { permits: 1, in_flight: 1, ..GateSample::default() },
            completed: 500,
            ..Sample::default()
        };
        for tick in 1..1000 {
            assert_eq!(limit.update(&sample, 0.001, true, TICK * tick, TICK), None);
        }
    }
}
