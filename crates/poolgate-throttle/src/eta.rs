//! How long a request will wait, as honestly as it can be said.

use std::time::Duration;

/// How long a request will wait from now on until it starts, if what is in force stays so, requests in flight do not
/// hold it up, and nothing more important arrives. A range, because what a start costs is drawn at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eta {
    /// Hardly less than this.
    pub earliest: Duration,
    /// Hardly more than this.
    pub latest: Duration,
}

/// How many of those that wait start before another one, at least and at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ahead {
    pub(crate) least: u32,
    pub(crate) most: u32,
}

/// What so many starts cost together in tokens, from hardly less to hardly more: three standard deviations of a sum of
/// numbers spread evenly over [`COSTS`](crate::bucket::COSTS), where the extremes are not closer.
pub(crate) fn cost_of(starts: u32) -> (f64, f64) {
    let starts = f64::from(starts);
    let spread = (3.0 * (starts / 12.0).sqrt()).min(starts / 2.0);
    (starts - spread, starts + spread)
}

#[cfg(test)]
mod tests {
    use poolgate_types::rng::Rng;

    use super::*;
    use crate::bucket::COSTS;

    #[test]
    fn the_range_holds_what_starts_cost() {
        let mut rng = Rng::new(1);
        for starts in [0, 1, 2, 5, 20, 100] {
            let (low, high) = cost_of(starts);
            let outside = (0..1000).filter(|_| {
                let cost: f64 = (0..starts).map(|_| rng.between(COSTS.0, COSTS.1)).sum();
                !(low..=high).contains(&cost)
            });
            assert!(outside.count() <= 10, "{starts}: {low} to {high}");
        }
    }
}
