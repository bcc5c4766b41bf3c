//! A ratio of two sums over the recent past: steady while nothing changes, fast when something does.

use std::time::Duration;

/// Time constants of the fast and of the slow sums.
const FAST: Duration = Duration::from_millis(300);
const SLOW: Duration = Duration::from_secs(3);

/// The sums differ by more than chance when their ratios differ by this many standard deviations of the fast one.
const SIGNIFICANT: f64 = 3.5;

/// The share of the fast sums that is kept then.
const KEPT: f64 = 0.3;

/// `sum of parts / sum of events`, for example time per request, for random events.
///
/// A ratio over one second is noisy if the second has few events; a ratio over several seconds is late. This ratio
/// covers several seconds until a ratio over half a second differs from it by more than the noise of its few events
/// explains. Then it forgets the older past.
#[derive(Clone, Debug)]
pub(crate) struct RecentRatio {
    fast: Sums,
    slow: Sums,
    /// The remaining weight, in the slow sums, of the moment at which they last began: 1 then, falling to 0.
    youth: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    parts: f64,
    events: f64,
}

impl RecentRatio {
    /// A ratio that is known, though not well: what is added outweighs it soon.
    pub(crate) fn beginning_at(ratio: f64) -> Self {
        let sums = Sums { parts: ratio, events: 1.0 };
        Self { fast: sums, slow: sums, youth: 1.0 }
    }

    /// Takes in what happened during `elapsed`.
    pub(crate) fn add(&mut self, parts: f64, events: f64, elapsed: Duration) {
        self.fast.add(parts, events, elapsed, FAST);
        self.slow.add(parts, events, elapsed, SLOW);
        self.youth *= kept(elapsed, SLOW);
        if self.has_changed() {
            // The fast sums contain mostly values from before the change, too, so the next samples must weigh more.
            self.fast = Sums { parts: self.fast.parts * KEPT, events: self.fast.events * KEPT };
            self.slow = self.fast;
            self.youth = 1.0;
        }
    }

    /// The ratio; `None` before the first event.
    pub(crate) fn value(&self) -> Option<f64> {
        (self.slow.events > 1e-9).then(|| self.slow.parts / self.slow.events)
    }

    /// The lowest value that the ratio may have, given `pending` events that have parts in the sums but have not
    /// happened yet. They matter only while the sums are young; later, as many events happen whose parts came before.
    pub(crate) fn at_least(&self, pending: f64) -> Option<f64> {
        self.value().map(|_| self.slow.parts / (self.slow.events + pending * self.youth))
    }

    /// Relative standard deviation of the ratio that old sums would not have.
    pub(crate) fn noise(&self) -> f64 {
        (self.youth / self.slow.events.max(1.0)).sqrt()
    }

    /// Compares the number of events with the expected one, so that the absence of events is noticed, too.
    fn has_changed(&self) -> bool {
        let Some(value) = self.value().filter(|value| *value > 0.0) else { return false };
        let expected = self.fast.parts / value;
        (self.fast.events - expected).abs() > SIGNIFICANT * expected.max(1.0).sqrt()
    }
}

impl Default for RecentRatio {
    fn default() -> Self {
        Self { fast: Sums::default(), slow: Sums::default(), youth: 1.0 }
    }
}

impl Sums {
    fn add(&mut self, parts: f64, events: f64, elapsed: Duration, time_constant: Duration) {
        let kept = kept(elapsed, time_constant);
        self.parts = self.parts * kept + parts;
        self.events = self.events * kept + events;
    }
}

fn kept(elapsed: Duration, time_constant: Duration) -> f64 {
    (-elapsed.as_secs_f64() / time_constant.as_secs_f64()).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(100);

    /// 20 busy slots, and `ended` requests that end in each tick.
    fn run(ratio: &mut RecentRatio, ticks: u32, ended: f64) -> f64 {
        (0..ticks).for_each(|_| ratio.add(2.0, ended, TICK));
        ratio.value().unwrap_or(f64::NAN)
    }

    #[test]
    fn little_by_little_while_nothing_changes() {
        let mut ratio = RecentRatio::default();
        assert!((run(&mut ratio, 100, 40.0) - 0.05).abs() < 1e-9);
        let after_noise = run(&mut ratio, 1, 55.0);
        assert!((after_noise - 0.05).abs() < 0.001, "{after_noise}");
    }

    #[test]
    fn at_once_when_something_does() {
        let mut ratio = RecentRatio::default();
        run(&mut ratio, 100, 40.0);
        let slowed = run(&mut ratio, 10, 10.0);
        assert!((slowed - 0.2).abs() < 0.03, "{slowed} a second after the change");
        let stalled = run(&mut ratio, 10, 0.0);
        assert!(stalled > 1.0, "{stalled} after a second without any");
        let recovered = run(&mut ratio, 10, 40.0);
        assert!((recovered - 0.05).abs() < 0.005, "{recovered}");
    }

    #[test]
    fn young_sums_are_in_doubt() {
        let mut ratio = RecentRatio::default();
        // 20 begin at once: none has ended yet, then a few.
        ratio.add(2.0, 0.0, TICK);
        ratio.add(2.0, 2.0, TICK);
        assert!((ratio.value().unwrap() - 2.0).abs() < 0.1, "{ratio:?}");
        assert!(ratio.at_least(20.0).unwrap() < 0.2, "{ratio:?}");
        assert!(ratio.noise() > 0.6, "{ratio:?}");
        run(&mut ratio, 300, 40.0);
        assert!(ratio.at_least(20.0).unwrap() > 0.0499 && ratio.noise() < 1e-3, "{ratio:?}");
        run(&mut ratio, 4, 10.0);
        assert!(ratio.noise() > 0.1, "after a change they are young again: {ratio:?}");
    }

    #[test]
    fn nothing_is_known_before_the_first_event() {
        let mut ratio = RecentRatio::default();
        ratio.add(2.0, 0.0, TICK);
        assert_eq!(ratio.value(), None);
    }
}
