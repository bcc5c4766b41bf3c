//! Holt's forecast: a smoothed level and a smoothed trend.

use std::time::Duration;

/// Time constants of the level and of the trend: 63 % of a step has been absorbed after one of them. The trend is
/// slower, so that it does not mistake noise for a slope.
const LEVEL: Duration = Duration::from_secs(3);
const TREND: Duration = Duration::from_secs(10);
/// Damping of the trend (Gardner): the further ahead, the less of it counts, because nothing rises for ever.
const DAMPING_SECONDS: f64 = 20.0;

/// Forecasts a value from its past. The result does not depend on how often it is updated.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Holt {
    /// The level, and the trend per second.
    state: Option<(f64, f64)>,
}

impl Holt {
    /// Takes in the value of the last `elapsed`. Values that are not finite are ignored.
    pub(super) fn update(&mut self, value: f64, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64();
        if seconds <= 0.0 || !value.is_finite() {
            return;
        }
        let gain = |constant: Duration| 1.0 - (-seconds / constant.as_secs_f64()).exp();
        self.state = Some(match self.state {
            None => (value, 0.0),
            Some((level, trend)) => {
                let expected = level + trend * seconds;
                let next = expected + gain(LEVEL) * (value - expected);
                (next, trend + gain(TREND) * ((next - level) / seconds - trend))
            }
        });
    }

    /// The forecast for `horizon` from now, never below 0; `None` before the first value.
    pub(super) fn ahead(&self, horizon: Duration) -> Option<f64> {
        let (level, trend) = self.state?;
        let believed = DAMPING_SECONDS * (1.0 - (-horizon.as_secs_f64() / DAMPING_SECONDS).exp());
        Some((level + trend * believed).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn fed(values: impl Iterator<Item = f64>) -> Holt {
        let mut holt = Holt::default();
        values.for_each(|value| holt.update(value, SECOND));
        holt
    }

    #[test]
    fn a_constant_stays_what_it_is() {
        assert_eq!(Holt::default().ahead(SECOND), None);
        let ahead = fed([7.0; 30].into_iter()).ahead(10 * SECOND).unwrap();
        assert!((ahead - 7.0).abs() < 1e-9, "{ahead}");
    }

    #[test]
    fn a_ramp_is_seen_ahead() {
        let ahead = fed((0..60).map(f64::from)).ahead(10 * SECOND).unwrap();
        // 69 if the ramp goes on; 8 of the 10 seconds are believed.
        assert!((65.0..=69.0).contains(&ahead), "{ahead}");
        assert_eq!(fed((0..30).rev().map(f64::from)).ahead(60 * SECOND), Some(0.0), "never below zero");
    }

    #[test]
    fn noise_is_no_slope() {
        let noise = (0..300_u32).map(|n| if n.wrapping_mul(2_654_435_761) & 0x8000 == 0 { 15.0 } else { 25.0 });
        let ahead = fed(noise).ahead(10 * SECOND).unwrap();
        assert!((14.0..26.0).contains(&ahead), "{ahead}");
    }

    #[test]
    fn what_is_not_a_number_is_not_taken_in() {
        let holt = fed([5.0, f64::NAN, f64::INFINITY, 5.0].into_iter());
        assert!((holt.ahead(SECOND).unwrap() - 5.0).abs() < 1e-9);
    }
}
