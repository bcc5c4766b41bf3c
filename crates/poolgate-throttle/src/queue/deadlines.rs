//! The deadlines of the queued requests.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, binary_heap::PeekMut},
    time::Duration,
};

use poolgate_types::Priority;

use crate::request::RequestId;

/// One entry per queued request. Entries of requests that have left stay until they reach the top or are the majority;
/// the top is always a queued one.
#[derive(Debug, Default)]
pub(super) struct Deadlines(BinaryHeap<Reverse<Entry>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) deadline: Duration,
    pub(super) id: RequestId,
    pub(super) priority: Priority,
}

impl Deadlines {
    pub(super) fn push(&mut self, entry: Entry) {
        self.0.push(Reverse(entry));
    }

    pub(super) fn first(&self) -> Option<Entry> {
        self.0.peek().map(|Reverse(entry)| *entry)
    }

    /// Entries, outdated ones included.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Drops entries of requests that have left; `waiting` is the number of queued requests.
    pub(super) fn clear_away(&mut self, waiting: usize, waits: impl Fn(&Entry) -> bool) {
        while let Some(top) = self.0.peek_mut()
            && !waits(&top.0)
        {
            PeekMut::pop(top);
        }
        if self.0.len() / 2 > waiting {
            self.0.retain(|Reverse(entry)| waits(entry));
        }
    }
}
