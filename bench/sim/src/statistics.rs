//! The median and range of a figure over several runs.

/// The median and range of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// All zero without any value.
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |place: usize| values.get(place).copied().unwrap_or_default();
        let last = values.len().saturating_sub(1);
        Self { median: (at(last / 2) + at(last.div_ceil(2))) / 2.0, least: at(0), most: at(last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Spread::of([9.0, 1.0, 2.0].into_iter()), Spread { median: 2.0, least: 1.0, most: 9.0 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 9.0].into_iter()).median, 3.0);
        assert_eq!(Spread::of([7.0].into_iter()), Spread { median: 7.0, least: 7.0, most: 7.0 });
    }
}
