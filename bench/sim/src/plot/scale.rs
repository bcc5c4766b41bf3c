//! From values to pixels.

/// A linear or logarithmic scale.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    values: (f64, f64),
    pixels: (f64, f64),
    logarithmic: bool,
}

impl Scale {
    /// `pixels`: where the first and the last value are.
    pub(super) fn linear(values: (f64, f64), pixels: (f64, f64)) -> Self {
        Self { values, pixels, logarithmic: false }
    }

    /// Of positive values.
    pub(super) fn logarithmic(values: (f64, f64), pixels: (f64, f64)) -> Self {
        Self { values, pixels, logarithmic: true }
    }

    /// Where a value is; what is out of the scale is at its end.
    pub(super) fn at(&self, value: f64) -> f64 {
        let (low, high) = self.values;
        let (from, to) = self.pixels;
        let value = value.clamp(low, high);
        let share =
            if self.logarithmic { (value / low).ln() / (high / low).ln() } else { (value - low) / (high - low) };
        from + share * (to - from)
    }

    /// Round values to mark, about `wanted` of them.
    pub(super) fn ticks(&self, wanted: usize) -> Vec<f64> {
        let (low, high) = self.values;
        if self.logarithmic {
            let factors: &[f64] = if (high / low).log10() > wanted as f64 / 2.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
            let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
            let ticks = decades.flat_map(|decade| factors.iter().map(move |factor| factor * 10_f64.powi(decade)));
            return ticks.filter(|tick| (low..=high).contains(tick)).collect();
        }
        let rough = (high - low) / wanted as f64;
        let decade = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * decade).into_iter().find(|step| *step >= rough);
        let step = step.unwrap_or(rough);
        (0..=2 * wanted)
            .map(|number| (low / step).ceil() * step + number as f64 * step)
            .filter(|tick| *tick <= high)
            .collect()
    }
}

/// A value without needless digits.
pub(super) fn label(value: f64) -> String {
    let digits = if value >= 100.0 { 0 } else { 3 };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(Scale::linear((0.0, 105.0), (0.0, 1.0)).ticks(5), [0.0, 50.0, 100.0]);
        assert_eq!(Scale::linear((0.0, 110.0), (0.0, 1.0)).ticks(6), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(Scale::logarithmic((0.4, 30.0), (0.0, 1.0)).ticks(6), [0.5, 1.0, 2.0, 5.0, 10.0, 20.0]);
        assert_eq!([0.5, 10.0, 250.0, 0.125].map(label), ["0.5", "10", "250", "0.125"]);
    }

    #[test]
    fn values_have_their_places() {
        let scale = Scale::logarithmic((1.0, 100.0), (50.0, 10.0));
        assert_eq!([0.1, 1.0, 10.0, 100.0].map(|value| scale.at(value).round()), [50.0, 50.0, 30.0, 10.0]);
    }
}
