//! Requests that wait in a browser, for rivals with a queue there.

use std::{collections::VecDeque, time::Duration};

use poolgate_sim::scheme::Verdict;

/// The default of Poolgate's throttle.
const LONGEST: usize = 256;

/// A line of requests, each of which waits a limited time.
#[derive(Debug)]
pub(crate) struct Line {
    longest_wait: Duration,
    order: Order,
    waiting: VecDeque<(Duration, u32)>,
}

/// Which request is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    OldestFirst,
    NewestFirst,
}

impl Line {
    pub(crate) fn new(longest_wait: Duration, order: Order) -> Self {
        Self { longest_wait, order, waiting: VecDeque::new() }
    }

    /// Starts a request if none waits and `may_send`; otherwise it waits, if there is room.
    pub(crate) fn submit(&mut self, request: u32, now: Duration, may_send: impl FnOnce() -> bool) -> Verdict {
        if self.waiting.is_empty() && may_send() {
            Verdict::Start
        } else if self.waiting.len() < LONGEST {
            self.waiting.push_back((now, request));
            Verdict::Wait
        } else {
            Verdict::Refuse
        }
    }

    /// Refuses the next request that has waited too long; without one, starts the next if `may_send`.
    pub(crate) fn poll(&mut self, now: Duration, may_send: impl FnOnce() -> bool) -> Option<(u32, Verdict)> {
        if self.next_expiry()? <= now {
            self.waiting.pop_front().map(|(_, request)| (request, Verdict::Refuse))
        } else if may_send() {
            self.pop().map(|request| (request, Verdict::Start))
        } else {
            None
        }
    }

    pub(crate) fn remove(&mut self, request: u32) {
        self.waiting.retain(|(_, waiting)| *waiting != request);
    }

    pub(crate) fn next_expiry(&self) -> Option<Duration> {
        self.waiting.front().map(|(since, _)| *since + self.longest_wait)
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }

    fn pop(&mut self) -> Option<u32> {
        let next = match self.order {
            Order::OldestFirst => self.waiting.pop_front(),
            Order::NewestFirst => self.waiting.pop_back(),
        };
        next.map(|(_, request)| request)
    }
}
