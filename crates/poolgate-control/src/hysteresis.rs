//! Labels that rise at once and fall only after a calm period, so that they do not flap.

use std::time::Duration;

/// A label falls after it has not been wanted for this long.
pub(crate) const CALM: Duration = Duration::from_secs(5);

/// A usage threshold is left this many percentage points below where it was reached.
const EXIT_MARGIN: f64 = 5.0;

/// A label that rises at once and falls when it has not been wanted for [`CALM`]: the highest label wanted in that
/// time.
#[derive(Clone, Debug)]
pub(crate) struct Dwell<T> {
    lowest: T,
    /// Labels, highest first, with the time at which each was last wanted. Later entries are lower and newer, so there
    /// is at most one per label.
    wanted: Vec<(T, Duration)>,
}

impl<T: Copy + Ord> Dwell<T> {
    pub(crate) const fn new(lowest: T) -> Self {
        Self { lowest, wanted: Vec::new() }
    }

    /// The label in force.
    pub(crate) fn current(&self) -> T {
        self.wanted.first().map_or(self.lowest, |(label, _)| *label)
    }

    /// The label in force, given the one that is wanted now.
    pub(crate) fn update(&mut self, wanted: T, now: Duration) -> T {
        self.wanted.retain(|(label, last)| *label > wanted && now.saturating_sub(*last) < CALM);
        self.wanted.push((wanted, now));
        self.current()
    }
}

/// Rising usage thresholds. A threshold is reached at its value and left 5 points lower; then the number of thresholds
/// reached falls after [`CALM`].
#[derive(Clone, Debug)]
pub(crate) struct Hysteresis<const N: usize> {
    thresholds: [f64; N],
    reached: Dwell<usize>,
}

impl<const N: usize> Hysteresis<N> {
    pub(crate) const fn new(thresholds: [f64; N]) -> Self {
        Self { thresholds, reached: Dwell::new(0) }
    }

    /// Changes the thresholds. What was reached falls as after any fall of the usage.
    pub(crate) fn set(&mut self, thresholds: [f64; N]) {
        self.thresholds = thresholds;
    }

    /// The number of thresholds that count as reached, 0 to `N`.
    pub(crate) fn update(&mut self, usage_percent: f64, now: Duration) -> usize {
        let entered = self.count(usage_percent);
        let held = self.count(usage_percent + EXIT_MARGIN).min(self.reached.current());
        self.reached.update(entered.max(held), now)
    }

    fn count(&self, usage_percent: f64) -> usize {
        self.thresholds.iter().filter(|threshold| usage_percent >= **threshold).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn thresholds_are_reached_at_once_and_left_after_calm_skipping_steps() {
        let mut hysteresis = Hysteresis::new([70.0, 80.0, 90.0]);
        assert_eq!(hysteresis.update(69.9, at(0)), 0);
        assert_eq!(hysteresis.update(95.0, at(1)), 3);
        assert_eq!(hysteresis.update(10.0, at(2)), 3);
        assert_eq!(hysteresis.update(10.0, at(5)), 3);
        assert_eq!(hysteresis.update(10.0, at(6)), 0);
    }

    #[test]
    fn a_step_is_left_five_points_below_its_threshold() {
        let mut hysteresis = Hysteresis::new([70.0, 80.0, 90.0]);
        hysteresis.update(91.0, at(0));
        for second in 1..60 {
            assert_eq!(hysteresis.update(85.5, at(second)), 3);
        }
        hysteresis.update(84.0, at(60));
        assert_eq!(hysteresis.update(84.0, at(65)), 2);
    }

    #[test]
    fn each_label_falls_five_seconds_after_it_was_last_wanted() {
        let mut dwell = Dwell::new(0);
        dwell.update(3, at(0));
        dwell.update(0, at(1));
        dwell.update(2, at(3));
        assert_eq!(dwell.update(0, at(4)), 3);
        assert_eq!(dwell.update(0, at(5)), 2);
        assert_eq!(dwell.update(0, at(7)), 2);
        assert_eq!(dwell.update(0, at(8)), 0);
    }
}
