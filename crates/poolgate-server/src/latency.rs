//! Records durations and gives percentiles over the last seconds.

use std::{
    collections::VecDeque,
    fmt, mem,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use hdrhistogram::Histogram;
use poolgate_types::Percentiles;

/// Longer durations count as this one.
const LONGEST: Duration = Duration::from_secs(60);
/// Significant digits.
const FINE: u8 = 2;
const COARSE: u8 = 1;

/// Collects durations from all threads. Recording takes a short lock.
pub(crate) struct Latency(Mutex<Histogram<u32>>);

/// The durations of one interval, in microseconds with two significant digits.
pub(crate) type Interval = Histogram<u32>;

/// The durations of the last `slots` intervals.
#[derive(Debug)]
pub(crate) struct Rolling {
    slots: VecDeque<Interval>,
    total: Interval,
}

impl Latency {
    pub(crate) fn record(&self, duration: Duration) {
        // The cast is exact: the value is at most a minute.
        let micros = duration.min(LONGEST).as_micros() as u64;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(micros.max(1));
    }

    /// One that needs a seventh of the memory; its durations are within 10 %.
    pub(crate) fn coarse() -> Self {
        Self(Mutex::new(with_digits(COARSE)))
    }

    /// Returns the durations since the last call.
    pub(crate) fn take(&self) -> Interval {
        let mut durations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let empty = Histogram::new_from(&durations);
        mem::replace(&mut *durations, empty)
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self(Mutex::new(empty()))
    }
}

impl Rolling {
    pub(crate) fn new(slots: usize) -> Self {
        Self { slots: VecDeque::from(vec![empty(); slots.max(1)]), total: empty() }
    }

    /// The same for a [`Latency::coarse`].
    pub(crate) fn coarse(slots: usize) -> Self {
        Self { slots: VecDeque::from(vec![with_digits(COARSE); slots.max(1)]), total: with_digits(COARSE) }
    }

    /// Adds durations to the newest slot.
    pub(crate) fn extend(&mut self, interval: &Interval) {
        let _ = self.total.add(interval);
        if let Some(newest) = self.slots.back_mut() {
            let _ = newest.add(interval);
        }
    }

    /// Begins a new slot; the oldest one is dropped.
    pub(crate) fn turn(&mut self) {
        self.push(Histogram::new_from(&self.total));
    }

    /// Adds a slot with `interval`; the oldest slot is dropped.
    pub(crate) fn push(&mut self, interval: Interval) {
        if let Some(oldest) = self.slots.pop_front() {
            // All histograms have the same bounds, and only what was added is subtracted.
            let _ = self.total.subtract(&oldest);
        }
        let _ = self.total.add(&interval);
        self.slots.push_back(interval);
    }

    pub(crate) fn quantile(&self, quantile: f64) -> Duration {
        if self.total.is_empty() {
            return Duration::ZERO;
        }
        Duration::from_micros(self.total.value_at_quantile(quantile))
    }

    /// `None` without durations.
    pub(crate) fn percentiles(&self) -> Option<Percentiles> {
        let millis = |quantile| self.quantile(quantile).as_secs_f64() * 1000.0;
        (!self.total.is_empty()).then(|| Percentiles { p50: millis(0.5), p95: millis(0.95), p99: millis(0.99) })
    }
}

fn empty() -> Interval {
    with_digits(FINE)
}

fn with_digits(digits: u8) -> Interval {
    let longest = u64::try_from(LONGEST.as_micros()).unwrap_or(u64::MAX);
    // The constant bounds are valid: the upper one is at least twice the lower one, and 0 to 5 digits are allowed.
    Histogram::new_with_bounds(1, longest, digits).expect("constant bounds")
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Latency")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_cover_the_last_slots_only() {
        let latency = Latency::default();
        let mut rolling = Rolling::new(2);
        assert_eq!(rolling.percentiles(), None, "nothing is not zero");
        for millis in 1..=100 {
            latency.record(Duration::from_millis(millis));
        }
        rolling.push(latency.take());
        let Percentiles { p50, p99, .. } = rolling.percentiles().expect("durations");
        assert!((49.0..=52.0).contains(&p50) && (98.0..=101.0).contains(&p99), "{p50} {p99}");
        latency.record(Duration::from_secs(5));
        rolling.push(latency.take());
        assert!(rolling.quantile(1.0) >= Duration::from_secs(5));
        rolling.push(latency.take());
        assert!(rolling.quantile(0.5) >= Duration::from_millis(4900), "the first slot is dropped");
        rolling.push(latency.take());
        assert_eq!(rolling.quantile(0.5), Duration::ZERO);
    }

    #[test]
    fn a_coarse_window_moves_in_steps() {
        let (latency, mut rolling) = (Latency::coarse(), Rolling::coarse(2));
        latency.record(Duration::from_millis(100));
        rolling.extend(&latency.take());
        rolling.turn();
        assert!(rolling.percentiles().is_some_and(|times| (90.0..=110.0).contains(&times.p50)));
        rolling.turn();
        assert_eq!(rolling.percentiles(), None);
    }

    #[test]
    fn durations_above_a_minute_count_as_a_minute() {
        let latency = Latency::default();
        latency.record(Duration::MAX);
        let mut rolling = Rolling::new(1);
        rolling.push(latency.take());
        assert!((59..=61).contains(&rolling.quantile(0.5).as_secs()));
    }
}
