//! Netflix's concurrency-limits at the server: a limit on requests in flight, learned from how long they take, in front
//! of a pool that hands out its connections first come, first served.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use super::{fifo::Fifo, gradient2::Gradient2, silent::Silence, vegas::Vegas};
use crate::{
    browser::Unthrottled,
    scenario::Scenario,
    scheme::{Admission, Arrival, Client, Limiter, Occupancy, Publisher, Scheme},
};

/// How long the pool lets a request wait for a connection.
const POOL_TIMEOUT: Duration = Duration::from_secs(30);
/// How many requests the library's blocking limiter lets wait for their turn, and how long.
const BACKLOG: usize = 100;
const BACKLOG_TIMEOUT: Duration = Duration::from_secs(1);
/// Round trips are averaged over so much time, and so many of them at least.
const WINDOW: Duration = Duration::from_secs(1);
const WINDOW_TRIPS: u32 = 10;

/// A limit that learns from round trips.
pub(super) trait Limit {
    /// Requests that may be in flight.
    fn limit(&self) -> u32;
    /// A request has ended.
    fn sample(&mut self, trip: Trip);
}

/// A request's way through the server, the wait for a connection included.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trip {
    pub(super) took: Duration,
    pub(super) ended: Duration,
    /// When it was let in, itself included.
    pub(super) in_flight: u32,
    pub(super) dropped: bool,
}

/// One of the library's limits with its settings.
pub(super) struct Netflix {
    name: &'static str,
    about: &'static str,
    limiter: fn(connections: u32) -> Box<dyn Limiter>,
}

impl Netflix {
    /// The defaults, as the library's manual puts them together for a server.
    pub(super) const GRADIENT2: Self = Self {
        name: "gradient2",
        about: "Netflix Gradient2 at the server, 20 to 200 in flight",
        limiter: |connections| Box::new(Concurrency::new(Windowed::new(Gradient2::DEFAULT), connections, 0)),
    };
    /// Never more in flight than the pool has connections, and the library's backlog, newest first.
    pub(super) const GRADIENT2_TUNED: Self = Self {
        name: "gradient2-tuned",
        about: "Netflix Gradient2, at most the pool in flight, LIFO backlog",
        limiter: |connections| {
            let law = Windowed::new(Gradient2::between(1, connections));
            Box::new(Concurrency::new(law, connections, BACKLOG))
        },
    };
    /// The library's own default.
    pub(super) const VEGAS: Self = Self {
        name: "vegas",
        about: "Netflix Vegas at the server, up to 1,000 in flight",
        limiter: |connections| Box::new(Concurrency::new(Vegas::standard(), connections, 0)),
    };
    /// Averages instead of single round trips, never more in flight than the pool has connections, and the library's
    /// backlog, newest first.
    pub(super) const VEGAS_TUNED: Self = Self {
        name: "vegas-tuned",
        about: "Netflix Vegas over averages, at most the pool in flight, LIFO backlog",
        limiter: |connections| {
            let law = Windowed::new(Vegas::between(connections, connections));
            Box::new(Concurrency::new(law, connections, BACKLOG))
        },
    };
}

impl Scheme for Netflix {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn limiter(&self, scenario: &Scenario) -> Box<dyn Limiter> {
        (self.limiter)(scenario.database.connections)
    }

    fn publisher(&self, _scenario: &Scenario, _epoch: u64) -> Box<dyn Publisher> {
        Box::new(Silence)
    }

    fn client(&self, _scenario: &Scenario, _seed: u64) -> Box<dyn Client> {
        Box::new(Unthrottled)
    }
}

/// Gives a limit the average of each second instead of every trip.
#[derive(Debug)]
struct Windowed<L> {
    limit: L,
    ends: Duration,
    sum: Trip,
    trips: u32,
}

impl<L: Limit> Windowed<L> {
    fn new(limit: L) -> Self {
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

/// The library's limiter, in front of the pool.
struct Concurrency<L> {
    limit: L,
    pool: Fifo,
    in_flight: u32,
    /// Those that wait for a connection: when they were let in, and how many were in flight.
    let_in: HashMap<u32, (Duration, u32)>,
    /// Those that have a connection, since when, and the same.
    running: Vec<(Duration, (Duration, u32))>,
    longest_backlog: usize,
    backlog: VecDeque<(Duration, u32)>,
}

impl<L: Limit> Concurrency<L> {
    fn new(limit: L, connections: u32, longest_backlog: usize) -> Self {
        Self {
            limit,
            pool: Fifo::new(connections, 100_000, POOL_TIMEOUT),
            in_flight: 0,
            let_in: HashMap::new(),
            running: Vec::new(),
            longest_backlog,
            backlog: VecDeque::new(),
        }
    }

    fn let_in(&mut self, arrival: Arrival, now: Duration) -> Admission {
        self.in_flight += 1;
        self.let_in.insert(arrival.request, (now, self.in_flight));
        let admission = self.pool.arrive(arrival, now);
        if admission == Admission::Start {
            self.start(arrival.request, now);
        }
        admission
    }

    fn start(&mut self, request: u32, now: Duration) {
        if let Some(let_in) = self.let_in.remove(&request) {
            self.running.push((now, let_in));
        }
    }

    fn learn(&mut self, (let_in_at, in_flight): (Duration, u32), dropped: bool, now: Duration) {
        self.limit.sample(Trip { took: now - let_in_at, ended: now, in_flight, dropped });
    }

    /// The newest of the backlog, if the limit lets it in and the pool has a connection for it.
    fn unblock(&mut self, now: Duration) -> Option<u32> {
        if self.in_flight >= self.limit.limit() {
            return None;
        }
        let (_, request) = self.backlog.pop_back()?;
        let arrival = Arrival { request, client: 0, fair_rate: None };
        (self.let_in(arrival, now) == Admission::Start).then_some(request)
    }
}

impl<L: Limit> Limiter for Concurrency<L> {
    fn arrive(&mut self, arrival: Arrival, now: Duration) -> Admission {
        if self.in_flight < self.limit.limit() {
            self.let_in(arrival, now)
        } else if self.backlog.len() < self.longest_backlog {
            self.backlog.push_back((now, arrival.request));
            Admission::Wait
        } else {
            Admission::Reject
        }
    }

    fn release(&mut self, client: Option<u32>, held: Duration, answered: bool, now: Duration) -> Option<u32> {
        // Whoever leaves is known by when it started; of two that started together it does not matter which.
        if let Some(place) = self.running.iter().position(|(since, _)| *since + held == now) {
            let (_, let_in) = self.running.swap_remove(place);
            self.in_flight -= 1;
            // That a database refuses at once says nothing about round trips: the library has a call for that.
            if answered {
                self.learn(let_in, false, now);
            }
        }
        let next = self.pool.release(client, held, answered, now);
        if let Some(request) = next {
            self.start(request, now);
        }
        // With nobody waiting for a connection there is one to spare.
        let unblocked = self.unblock(now);
        next.or(unblocked)
    }

    fn shed(&mut self, now: Duration) -> Option<u32> {
        if let Some((since, request)) = self.backlog.front().copied()
            && since + BACKLOG_TIMEOUT <= now
        {
            self.backlog.pop_front();
            return Some(request);
        }
        let request = self.pool.shed(now)?;
        if let Some(let_in) = self.let_in.remove(&request) {
            self.in_flight -= 1;
            self.learn(let_in, true, now);
        }
        Some(request)
    }

    fn next_expiry(&self) -> Option<Duration> {
        let backlog = self.backlog.front().map(|(since, _)| *since + BACKLOG_TIMEOUT);
        [backlog, self.pool.next_expiry()].into_iter().flatten().min()
    }

    fn occupancy(&self, now: Duration) -> Occupancy {
        let pool = self.pool.occupancy(now);
        let blocked_for = self.backlog.front().map_or(Duration::ZERO, |(since, _)| now - *since);
        Occupancy {
            queued: pool.queued + self.backlog.len() as u32,
            oldest_wait: pool.oldest_wait.max(blocked_for),
            ..pool
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u32, Vec<Trip>);

    impl Limit for Fixed {
        fn limit(&self) -> u32 {
            self.0
        }

        fn sample(&mut self, trip: Trip) {
            self.1.push(trip);
        }
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn arrival(request: u32) -> Arrival {
        Arrival { request, client: 0, fair_rate: None }
    }

    #[test]
    fn a_round_trip_has_the_wait_for_a_connection_in_it() {
        let mut limiter = Concurrency::new(Fixed(2, Vec::new()), 1, 0);
        assert_eq!(limiter.arrive(arrival(1), ms(0)), Admission::Start);
        assert_eq!(limiter.arrive(arrival(2), ms(10)), Admission::Wait);
        assert_eq!(limiter.arrive(arrival(3), ms(20)), Admission::Reject);
        assert_eq!(limiter.release(None, ms(50), true, ms(50)), Some(2));
        assert_eq!(limiter.release(None, ms(50), true, ms(100)), None);
        let trips: Vec<_> = limiter.limit.1.iter().map(|trip| (trip.took, trip.in_flight)).collect();
        assert_eq!(trips, [(ms(50), 1), (ms(90), 2)]);
    }

    #[test]
    fn the_newest_of_the_backlog_is_next_and_the_oldest_times_out() {
        let mut limiter = Concurrency::new(Fixed(1, Vec::new()), 1, 2);
        assert_eq!(limiter.arrive(arrival(1), ms(0)), Admission::Start);
        assert_eq!(limiter.arrive(arrival(2), ms(1)), Admission::Wait);
        assert_eq!(limiter.arrive(arrival(3), ms(2)), Admission::Wait);
        assert_eq!(limiter.arrive(arrival(4), ms(3)), Admission::Reject);
        assert_eq!(limiter.release(None, ms(50), true, ms(50)), Some(3));
        assert_eq!(limiter.next_expiry(), Some(ms(1001)));
        assert_eq!(limiter.shed(ms(1000)), None);
        assert_eq!(limiter.shed(ms(1001)), Some(2));
    }

    #[test]
    fn a_window_is_averaged_and_one_of_few_trips_is_not_counted() {
        let mut windowed = Windowed::new(Fixed(1, Vec::new()));
        let at = |second: u64, n: u64| Trip { took: ms(n), ended: ms(1000 * second + n), in_flight: 1, dropped: false };
        windowed.sample(at(0, 1));
        (2..=20).for_each(|n| windowed.sample(at(0, n)));
        windowed.sample(at(1, 2));
        assert_eq!(windowed.limit.1.len(), 1);
        assert_eq!(windowed.limit.1[0].took, (2..=20).map(ms).sum::<Duration>().saturating_add(ms(2)) / 20);
        windowed.sample(at(3, 1));
        assert_eq!(windowed.limit.1.len(), 1);
    }
}
