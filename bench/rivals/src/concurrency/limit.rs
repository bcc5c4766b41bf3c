//! The interface of the library's laws: they learn from round trips and decide a limit.

use std::time::Duration;

/// A window lasts this long, and counts if it has this many round trips.
const WINDOW: Duration = Duration::from_secs(1);
const WINDOW_TRIPS: u32 = 10;

/// A limit that learns from round trips.
pub(super) trait Limit {
    /// The most requests in flight.
    fn limit(&self) -> u32;
    /// A request has ended.
    fn sample(&mut self, trip: Trip);
}

/// A request's round trip through the server, including the wait for a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trip {
    pub(super) took: Duration,
    pub(super) ended: Duration,
    /// Requests in flight when it was admitted, itself included.
    pub(super) in_flight: u32,
    pub(super) dropped: bool,
}

/// Gives a limit the average of each second instead of every trip.
#[derive(Debug)]
pub(super) struct Windowed<L> {
    limit: L,
    ends: Duration,
    sum: Trip,
    trips: u32,
}

impl<L: Limit> Windowed<L> {
    pub(super) fn new(limit: L) -> Self {
        Self { limit, ends: Duration::ZERO, sum: Trip::default(), trips: 0 }
    }
}

impl<L: Limit> Limit for Windowed<L> {
    fn limit(&self) -> u32 {
        self.limit.limit()
    }

    fn sample(&mut self, trip: Trip) {
        self.trips += 1;
        self.sum = Trip {
            took: self.sum.took + trip.took,
            ended: trip.ended,
            in_flight: self.sum.in_flight.max(trip.in_flight),
            dropped: self.sum.dropped || trip.dropped,
        };
        if trip.ended > self.ends {
            let (sum, trips) = (std::mem::take(&mut self.sum), std::mem::take(&mut self.trips));
            self.ends = trip.ended + WINDOW;
            if trips >= WINDOW_TRIPS {
                self.limit.sample(Trip { took: sum.took / trips, ..sum });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(Vec<Trip>);

    impl Limit for Fixed {
        fn limit(&self) -> u32 {
            1
        }

        fn sample(&mut self, trip: Trip) {
            self.0.push(trip);
        }
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_window_is_averaged_and_one_of_few_trips_is_not_counted() {
        let mut windowed = Windowed::new(Fixed(Vec::new()));
        let at = |second: u64, n: u64| Trip { took: ms(n), ended: ms(1000 * second + n), in_flight: 1, dropped: false };
        windowed.sample(at(0, 1));
        (2..=20).for_each(|n| windowed.sample(at(0, n)));
        windowed.sample(at(1, 2));
        assert_eq!(windowed.limit.0.len(), 1);
        assert_eq!(windowed.limit.0[0].took, (2..=20).map(ms).sum::<Duration>().saturating_add(ms(2)) / 20);
        windowed.sample(at(3, 1));
        assert_eq!(windowed.limit.0.len(), 1);
    }
}
