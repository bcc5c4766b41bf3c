//! The library's limiter, in front of a pool that hands out its connections first come, first served.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use poolgate_sim::{
    scheme::{Admission, Arrival, Limiter, Occupancy},
    schemes::Fifo,
};

use super::limit::{Limit, Trip};

/// How long the pool lets a request wait for a connection.
const POOL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the library's blocking limiter lets a request wait for its turn.
const BACKLOG_TIMEOUT: Duration = Duration::from_secs(1);

/// Admits requests up to a limit that learns from their round trips.
pub(super) struct Concurrency<L> {
    limit: L,
    pool: Fifo,
    in_flight: u32,
    /// Requests that wait for a connection: when they were admitted, and how many were in flight.
    let_in: HashMap<u32, (Duration, u32)>,
    /// Requests with a connection: since when, and the same.
    running: Vec<(Duration, (Duration, u32))>,
    longest_backlog: usize,
    backlog: VecDeque<(Duration, u32)>,
}

impl<L: Limit> Concurrency<L> {
    /// At most `longest_backlog` requests wait for the limit to let them in.
    pub(super) fn new(limit: L, connections: u32, longest_backlog: usize) -> Self {
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
        // A request that leaves is identified by when it started; two that started together are interchangeable.
        if let Some(place) = self.running.iter().position(|(since, _)| *since + held == now) {
            let (_, let_in) = self.running.swap_remove(place);
            self.in_flight -= 1;
            // An immediate refusal by the database says nothing about round trips: the library ignores such a trip.
            if answered {
                self.learn(let_in, false, now);
            }
        }
        let next = self.pool.release(client, held, answered, now);
        if let Some(request) = next {
            self.start(request, now);
        }
        // If no request waits for a connection, the freed one is spare.
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
}
