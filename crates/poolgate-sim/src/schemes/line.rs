//! Requests that wait in a browser, for the rivals that let them.

use std::{collections::VecDeque, time::Duration};

/// As many as Poolgate's throttle lets wait by default.
const LONGEST: usize = 256;

/// A line of requests, each of which waits a limited time.
#[derive(Debug)]
pub(super) struct Line {
    longest_wait: Duration,
    order: Order,
    waiting: VecDeque<(Duration, u32)>,
}

/// Whose turn is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    OldestFirst,
    NewestFirst,
}

impl Line {
    pub(super) fn new(longest_wait: Duration, order: Order) -> Self {
        Self { longest_wait, order, waiting: VecDeque::new() }
    }

    /// False if there is no room.
    pub(super) fn push(&mut self, request: u32, now: Duration) -> bool {
        let room = self.waiting.len() < LONGEST;
        if room {
            self.waiting.push_back((now, request));
        }
        room
    }

    pub(super) fn pop(&mut self) -> Option<u32> {
        let next = match self.order {
            Order::OldestFirst => self.waiting.pop_front(),
            Order::NewestFirst => self.waiting.pop_back(),
        };
        next.map(|(_, request)| request)
    }

    pub(super) fn remove(&mut self, request: u32) {
        self.waiting.retain(|(_, waiting)| *waiting != request);
    }

    /// One that has waited too long.
    pub(super) fn pop_expired(&mut self, now: Duration) -> Option<u32> {
        let due = self.next_expiry()? <= now;
        if due { self.waiting.pop_front().map(|(_, request)| request) } else { None }
    }

    pub(super) fn next_expiry(&self) -> Option<Duration> {
        self.waiting.front().map(|(since, _)| *since + self.longest_wait)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }
}
