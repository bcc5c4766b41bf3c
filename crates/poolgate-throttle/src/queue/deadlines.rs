//! Who leaves next because time is up.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, binary_heap::PeekMut},
    time::Duration,
};

use crate::{Priority, RequestId};

/// One entry for each request that waits. Entries of requests that have left otherwise stay until they come to the top
/// or are the majority; the top is always one that waits.
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

    /// How much room the entries take.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Drops entries of requests that do not wait any more; `waiting` is how many do.
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
