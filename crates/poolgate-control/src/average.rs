//! Exponentially weighted averages that do not depend on how often they are updated.

use std::time::Duration;

/// An exponentially weighted average with a time constant, after which 63 % of a step has been absorbed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Average {
    time_constant: Duration,
    value: Option<f64>,
    /// Sum of the squares of all weights, each divided by the seconds that it covers.
    spread: f64,
}

impl Average {
    pub(crate) const fn new(time_constant: Duration) -> Self {
        Self { time_constant, value: None, spread: 0.0 }
    }

    /// Takes in a value that held for `elapsed`. The first one becomes the average.
    pub(crate) fn update(&mut self, value: f64, elapsed: Duration) {
        let gain = 1.0 - (-elapsed.as_secs_f64() / self.time_constant.as_secs_f64()).exp();
        let (average, gain) = self.value.map_or((value, 1.0), |average| (average, gain));
        self.value = Some(average + gain * (value - average));
        self.spread = (1.0 - gain).powi(2) * self.spread + gain.powi(2) / elapsed.as_secs_f64().max(1e-9);
    }

    pub(crate) const fn value(&self) -> Option<f64> {
        self.value
    }

    /// Relative standard deviation of the average, if the values are rates of random events with a mean of
    /// `per_second`. It is large while there are few values.
    pub(crate) fn noise(&self, per_second: f64) -> f64 {
        (self.spread / per_second).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_small_steps_equal_one_large_step() {
        let (mut fine, mut coarse) = (Average::new(Duration::from_secs(1)), Average::new(Duration::from_secs(1)));
        fine.update(0.0, Duration::ZERO);
        coarse.update(0.0, Duration::ZERO);
        for _ in 0..10 {
            fine.update(1.0, Duration::from_millis(50));
        }
        coarse.update(1.0, Duration::from_millis(500));
        assert!((fine.value().unwrap() - coarse.value().unwrap()).abs() < 1e-9);
    }

    #[test]
    fn few_values_are_noisier_than_many() {
        let tick = Duration::from_millis(100);
        let mut average = Average::new(Duration::from_millis(280));
        average.update(400.0, tick);
        assert!((average.noise(400.0) - 40_f64.sqrt().recip()).abs() < 1e-9, "40 events");
        (0..100).for_each(|_| average.update(400.0, tick));
        assert!((average.noise(400.0) - (0.56 * 400_f64).sqrt().recip()).abs() < 1e-3, "as in twice the time constant");
    }
}
