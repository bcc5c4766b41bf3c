//! Virtual time: the queue of planned events.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

/// Events in order of time; events of the same time in the order in which they were planned.
#[derive(Debug)]
pub(crate) struct Schedule<E> {
    heap: BinaryHeap<Reverse<Planned<E>>>,
    planned: u64,
}

#[derive(Debug)]
struct Planned<E> {
    at: Duration,
    number: u64,
    event: E,
}

impl<E> Schedule<E> {
    pub(crate) fn new() -> Self {
        Self { heap: BinaryHeap::new(), planned: 0 }
    }

    pub(crate) fn at(&mut self, at: Duration, event: E) {
        self.planned += 1;
        self.heap.push(Reverse(Planned { at, number: self.planned, event }));
    }

    pub(crate) fn next(&mut self) -> Option<(Duration, E)> {
        self.heap.pop().map(|Reverse(planned)| (planned.at, planned.event))
    }
}

impl<E> Ord for Planned<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl<E> PartialOrd for Planned<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Planned<E> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<E> Eq for Planned<E> {}

/// A deadline that moves: it plans an event only when the deadline moves forward.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    planned: Option<Duration>,
}

impl Alarm {
    /// When to plan an event; `None` if an earlier one is planned.
    pub(crate) fn plan(&mut self, at: Duration) -> Option<Duration> {
        if self.planned.is_some_and(|planned| planned <= at) {
            return None;
        }
        self.planned = Some(at);
        Some(at)
    }

    /// Whether the event of now is the latest one planned.
    pub(crate) fn rings(&mut self, now: Duration) -> bool {
        let due = self.planned == Some(now);
        if due {
            self.planned = None;
        }
        due
    }
}
