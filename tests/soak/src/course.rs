//! The course of a run: warm-up, the honest alone, everybody with faults, rest.

use std::{ops::Range, time::Duration};

use serde::Serialize;

use crate::schedule::{self, Pace, Planned, Through};

/// Shortest and longest run.
pub const MINUTES: (f64, f64) = (1.0, 180.0);
/// Runs from here on are long: calm enough between faults to be judged strictly.
const LONG: Duration = Duration::from_secs(5 * 60);
/// When everybody comes, the first seconds are not judged: the program has to find out what they want.
const SETTLE: Duration = Duration::from_secs(5);
/// A request that is under way when a fault begins may fail of it.
const BEFORE_FAULT: Duration = Duration::from_secs(2);

/// When what happens, counted from the moment when the honest begin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Course {
    /// The honest begin; nothing is judged yet.
    pub warm_up: Duration,
    /// The honest alone: what the rest is compared with.
    pub baseline: Duration,
    /// Everybody, and the faults.
    pub crowd: Duration,
    /// Nobody; at the latest at its end nothing is left over.
    pub rest: Duration,
}

/// A fault as it was.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Suffered {
    /// What had been planned.
    #[serde(flatten)]
    pub planned: Planned,
    /// When it began, seconds since the honest began.
    pub began: f64,
    /// When it had been undone.
    pub ended: f64,
}

impl Course {
    /// Of a run of so many minutes.
    #[must_use]
    pub fn of(minutes: f64) -> Self {
        let total = Duration::from_secs_f64(minutes * 60.0);
        let seconds = Duration::from_secs;
        let (warm_up, baseline) = if total >= LONG { (10, 60) } else { (4, 12) };
        let (warm_up, baseline, rest) = (seconds(warm_up), seconds(baseline), seconds(15));
        Self { warm_up, baseline, crowd: total.saturating_sub(warm_up + baseline + rest), rest }
    }

    /// The faults that belong to a seed.
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

    /// When everybody comes.
    #[must_use]
    pub fn crowd_comes(&self) -> Duration {
        self.warm_up + self.baseline
    }

    /// When everybody goes.
    #[must_use]
    pub fn crowd_goes(&self) -> Duration {
        self.crowd_comes() + self.crowd
    }

    /// The seconds in which the honest are alone.
    #[must_use]
    pub fn baseline_seconds(&self) -> Range<usize> {
        self.warm_up.as_secs() as usize..self.crowd_comes().as_secs() as usize
    }

    /// The seconds with everybody.
    #[must_use]
    pub fn crowd_seconds(&self) -> Range<usize> {
        self.crowd_comes().as_secs() as usize..self.crowd_goes().as_secs() as usize
    }

    /// The seconds with everybody that are judged: outside of every fault and of the recovery from it.
    #[must_use]
    pub fn calm_seconds(&self, suffered: &[Suffered]) -> Vec<usize> {
        let settled = (self.crowd_comes() + SETTLE).as_secs() as usize;
        let is_calm = |second: &usize| !suffered.iter().any(|fault| fault.outage().contains(second));
        (settled..self.crowd_seconds().end).filter(is_calm).collect()
    }
}

impl Suffered {
    /// The seconds in which requests may fail of it.
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
