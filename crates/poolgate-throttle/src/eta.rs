//! Predicts how long a request will wait.

use std::time::Duration;

/// How long a request will wait until it starts, provided that limits stay the same, requests in flight do not block
/// it, and no request of higher priority arrives. It is a range because the cost of a start is random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eta {
    /// Lower bound, rarely undercut.
    pub earliest: Duration,
    /// Upper bound, rarely exceeded.
    pub latest: Duration,
}

/// How many queued requests start before another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ahead {
    pub(crate) least: u32,
    pub(crate) most: u32,
}

/// Range of the total cost of `starts` starts in tokens: three standard deviations of a sum of uniform numbers in
/// [`COSTS`](crate::bucket::COSTS), or the extremes if they are closer.
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
    fn the_range_holds_the_cost_of_the_starts() {
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
