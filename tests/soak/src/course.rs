//! The course of a run: warm-up, honest clients alone, all clients with faults, rest.

use std::{ops::Range, time::Duration};

use serde::Serialize;

use crate::schedule::{self, Pace, Planned, Through};

/// Shortest and longest run.
pub const MINUTES: (f64, f64) = (1.0, 180.0);
/// Runs from this length on have enough calm between faults to be judged strictly.
const LONG: Duration = Duration::from_secs(5 * 60);
/// The first seconds with all clients are not judged: the program has to learn their demand.
const SETTLE: Duration = Duration::from_secs(5);
/// A request that is in flight when a fault begins may fail because of it.
const BEFORE_FAULT: Duration = Duration::from_secs(2);

/// The lengths of the phases; time counts from the moment when the honest clients begin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Course {
    /// The honest clients begin; nothing is judged yet.
    pub warm_up: Duration,
    /// The honest clients alone: the baseline.
    pub baseline: Duration,
    /// All clients, and the faults.
    pub crowd: Duration,
    /// No clients; at its end nothing may be in flight.
    pub rest: Duration,
}

/// A fault as it happened.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Suffered {
    /// The plan.
    #[serde(flatten)]
    pub planned: Planned,
    /// When it began, in seconds since the honest clients began.
    pub began: f64,
    /// When it had been undone.
    pub ended: f64,
}

impl Course {
    /// The course of a run of this many minutes.
    #[must_use]
    pub fn of(minutes: f64) -> Self {
        let total = Duration::from_secs_f64(minutes * 60.0);
        let seconds = Duration::from_secs;
        let (warm_up, baseline) = if total >= LONG { (10, 60) } else { (4, 12) };
        let (warm_up, baseline, rest) = (seconds(warm_up), seconds(baseline), seconds(15));
        Self { warm_up, baseline, crowd: total.saturating_sub(warm_up + baseline + rest), rest }
    }

    /// The faults of a seed.
    #[must_use]
    pub fn faults(&self, seed: u64, through: Through) -> Vec<Planned> {
        schedule::draw(seed, through, self.crowd, self.pace())
    }

    /// How dense they are.
    #[must_use]
    pub fn pace(&self) -> Pace {
        let is_long = self.crowd_goes() + self.rest >= LONG;
        let (least, greatest, length) = if is_long { (15, 35, 1.0) } else { (4, 6, 0.3) };
        Pace { calm: (Duration::from_secs(least), Duration::from_secs(greatest)), length }
    }

    /// When all other clients come.
    #[must_use]
    pub fn crowd_comes(&self) -> Duration {
        self.warm_up + self.baseline
    }

    /// When all clients go.
    #[must_use]
    pub fn crowd_goes(&self) -> Duration {
        self.crowd_comes() + self.crowd
    }

    /// The seconds in which the honest clients are alone.
    #[must_use]
    pub fn baseline_seconds(&self) -> Range<usize> {
        self.warm_up.as_secs() as usize..self.crowd_comes().as_secs() as usize
    }

    /// The seconds with all clients.
    #[must_use]
    pub fn crowd_seconds(&self) -> Range<usize> {
        self.crowd_comes().as_secs() as usize..self.crowd_goes().as_secs() as usize
    }

    /// The judged seconds with all clients: outside of every fault and its recovery.
    #[must_use]
    pub fn calm_seconds(&self, suffered: &[Suffered]) -> Vec<usize> {
        let settled = (self.crowd_comes() + SETTLE).as_secs() as usize;
        let is_calm = |second: &usize| !suffered.iter().any(|fault| fault.outage().contains(second));
        (settled..self.crowd_seconds().end).filter(is_calm).collect()
    }
}

impl Suffered {
    /// The seconds in which requests may fail because of it.
    #[must_use]
    pub fn outage(&self) -> Range<usize> {
        let begin = (self.began - BEFORE_FAULT.as_secs_f64()).max(0.0);
        begin as usize..(self.ended + self.planned.fault.recovery().as_secs_f64()).ceil() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Fault;

    #[test]
    fn a_run_takes_as_long_as_was_asked_for() {
        for minutes in [1.0, 1.25, 5.0, 30.0] {
            let course = Course::of(minutes);
            assert_eq!((course.crowd_goes() + course.rest).as_secs_f64(), minutes * 60.0);
        }
        assert!(Course::of(30.0).faults(1, Through::Direct).len() > 25);
        for seed in 0..50 {
            assert!(!Course::of(1.25).faults(seed, Through::Pgbouncer).is_empty(), "seed {seed}");
        }
    }

    #[test]
    fn calm_is_what_no_fault_explains() {
        let course = Course::of(1.25);
        assert_eq!(course.crowd_seconds(), 16..60);
        let planned = Planned { fault: Fault::SessionsEnded, at: Duration::from_secs(14), lasts: Duration::ZERO };
        let suffered = Suffered { planned, began: 30.2, ended: 30.4 };
        assert_eq!(suffered.outage(), 28..36);
        let calm = course.calm_seconds(&[suffered]);
        assert_eq!(calm, (21..28).chain(36..60).collect::<Vec<_>>());
    }
}
