//! Detects a queue that does not drain, by the number of requests in it.
//!
//! A source that rejects no request lets every request wait, so no more requests arrive than are served. Then only the
//! queue, not the arrivals, shows the excess demand. A queue that comes and goes is chance. A queue that was never
//! shorter than one turn of all slots for a second is demand that cannot be served. This is the test of CoDel (Nichols
//! and Jacobson, 2012), with the queue measured in requests.

use std::{collections::VecDeque, time::Duration};

use crate::sample::Sample;

/// A queue stands after it was never short for this long.
const INTERVAL: Duration = Duration::from_secs(1);
/// The excess demand that is then assumed, as a share of the capacity. The queue's length is no measure of it, because
/// part of the queue may be elsewhere.
const EXCESS: f64 = 0.5;

/// The queue of the last second.
#[derive(Clone, Debug, Default)]
pub(crate) struct StandingQueue {
    /// (time, length), oldest first: a monotonic queue of candidates for the minimum of the last second.
    queued: VecDeque<(Duration, u32)>,
    watched_since: Option<Duration>,
    slots: u32,
}

impl StandingQueue {
    pub(crate) fn update(&mut self, sample: &Sample, now: Duration) {
        if !sample.gate.patient {
            *self = Self::default();
            return;
        }
        self.slots = sample.slots();
        self.watched_since.get_or_insert(now);
        while self.queued.back().is_some_and(|(_, later)| *later >= sample.gate.queued) {
            self.queued.pop_back();
        }
        self.queued.push_back((now, sample.gate.queued));
        while self.queued.front().is_some_and(|(at, _)| now.saturating_sub(*at) > INTERVAL) {
            self.queued.pop_front();
        }
    }

    /// Demand beyond the arrivals, in requests a second.
    pub(crate) fn excess(&self, arrivals: f64, capacity: f64, now: Duration) -> f64 {
        if self.stands(now) { (capacity - arrivals).max(0.0) + EXCESS * capacity } else { 0.0 }
    }

    /// Whether every request of the last second had to wait for at least one turn of all slots.
    pub(crate) fn stands(&self, now: Duration) -> bool {
        let long_enough = self.watched_since.is_some_and(|since| now.saturating_sub(since) >= INTERVAL);
        long_enough && self.queued.front().is_some_and(|(_, least)| *least >= self.slots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{GateSample, PoolSample};

    struct Queue(StandingQueue, Duration);

    impl Queue {
        fn new() -> Self {
            Self(StandingQueue::default(), Duration::ZERO)
        }

        /// Runs ticks with `queued` requests in the queue of ten slots.
        fn tick(&mut self, ticks: u32, queued: u32, patient: bool) -> bool {
            for _ in 0..ticks {
                self.1 += Duration::from_millis(100);
                let gate = GateSample { permits: 10, queued, patient, ..GateSample::default() };
                let pool = PoolSample { capacity: 10, ..PoolSample::default() };
                self.0.update(&Sample { gate, pool, ..Sample::default() }, self.1);
            }
            self.0.stands(self.1)
        }
    }

    #[test]
    fn a_queue_that_never_was_short_for_a_second_stands() {
        let mut queue = Queue::new();
        assert!(!queue.tick(10, 30, true), "not yet");
        assert!(queue.tick(1, 12, true));
        assert!(!queue.tick(1, 3, true), "it was short for a moment");
        assert!(!queue.tick(10, 30, true), "that moment is less than a second ago");
        assert!(queue.tick(1, 30, true));
    }

    #[test]
    fn a_queue_that_stands_is_demand_beyond_what_arrives() {
        let mut queue = Queue::new();
        assert_eq!(queue.0.excess(50.0, 100.0, queue.1), 0.0);
        queue.tick(20, 30, true);
        assert_eq!(queue.0.excess(50.0, 100.0, queue.1), 50.0 + 50.0, "as much as can be served, and half of it again");
        assert_eq!(queue.0.excess(120.0, 100.0, queue.1), 50.0);
    }

    #[test]
    fn a_short_queue_does_not_stand_nor_one_that_turns_away() {
        let mut queue = Queue::new();
        assert!(!queue.tick(50, 9, true));
        assert!(!queue.tick(50, 90, false));
        assert!(!queue.tick(5, 90, true), "what was before does not count");
    }
}
