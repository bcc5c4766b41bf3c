//! Exponentially weighted averages that do not depend on how often they are fed.

use std::time::Duration;

/// An exponentially weighted average with a time constant: after one of it, 63 % of a step is seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Average {
    time_constant: Duration,
    value: Option<f64>,
}

impl Average {
    pub(crate) const fn new(time_constant: Duration) -> Self {
        Self { time_constant, value: None }
    }

    /// Takes in a value that held for `elapsed`. The first one is taken as it is.
    pub(crate) fn update(&mut self, value: f64, elapsed: Duration) {
        let gain = 1.0 - (-elapsed.as_secs_f64() / self.time_constant.as_secs_f64()).exp();
        self.value = Some(match self.value {
            Some(average) => average + gain * (value - average),
            None => value,
        });
    }

    pub(crate) const fn value(&self) -> Option<f64> {
        self.value
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
}
