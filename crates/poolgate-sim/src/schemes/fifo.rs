//! First come, first served.

use std::{collections::VecDeque, time::Duration};

use crate::scheme::{Admission, Arrival, Limiter, Occupancy};

/// Admits up to a number of requests at a time; a bounded number of others waits in line for a limited time.
#[derive(Debug)]
pub struct Fifo {
    permits: u32,
    in_flight: u32,
    longest_queue: usize,
    longest_wait: Duration,
    queue: VecDeque<(Duration, u32)>,
}

impl Fifo {
    /// `permits` requests in the database at a time, at most `longest_queue` in line, each for `longest_wait`.
    pub fn new(permits: u32, longest_queue: usize, longest_wait: Duration) -> Self {
        Self { permits, in_flight: 0, longest_queue, longest_wait, queue: VecDeque::new() }
    }
}

impl Limiter for Fifo {
    fn arrive(&mut self, arrival: Arrival, now: Duration) -> Admission {
        if self.in_flight < self.permits {
            self.in_flight += 1;
            Admission::Start
        } else if self.queue.len() < self.longest_queue {
            self.queue.push_back((now, arrival.request));
            Admission::Wait
        } else {
            Admission::Reject
        }
    }

    fn release(&mut self, _client: Option<u32>, _held: Duration, _answered: bool, _now: Duration) -> Option<u32> {
        let next = self.queue.pop_front().map(|(_, request)| request);
        if next.is_none() {
            self.in_flight -= 1;
        }
        next
    }

    fn shed(&mut self, now: Duration) -> Option<u32> {
        let (since, request) = *self.queue.front()?;
        if since + self.longest_wait > now {
            return None;
        }
        self.queue.pop_front();
        Some(request)
    }

    fn next_expiry(&self) -> Option<Duration> {
        self.queue.front().map(|(since, _)| *since + self.longest_wait)
    }

    fn occupancy(&self, now: Duration) -> Occupancy {
        Occupancy {
            permits: self.permits,
            in_flight: self.in_flight,
            queued: self.queue.len() as u32,
            oldest_wait: self.queue.front().map_or(Duration::ZERO, |(since, _)| now - *since),
        }
    }
}
