//! The queued requests of one priority, in order of arrival.

use std::{collections::VecDeque, time::Duration};

use super::{Wait, overload};
use crate::request::RequestId;

/// A line that requests leave from both ends and, in O(log n), from the middle. A request that leaves from the middle
/// leaves an empty place; when most places are empty they are removed. The first and the last place are never empty.
#[derive(Debug, Default)]
pub(super) struct Class {
    /// Ids grow, so the line can be searched.
    line: VecDeque<(RequestId, Option<Wait>)>,
    empty_places: usize,
    /// Starts in a row of higher priority while a request of this one was queued.
    pub(super) passed_over: u32,
}

impl Class {
    pub(super) fn push(&mut self, id: RequestId, wait: Wait) {
        self.line.push_back((id, Some(wait)));
    }

    pub(super) fn len(&self) -> usize {
        self.line.len().saturating_sub(self.empty_places)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    pub(super) fn oldest(&self) -> Option<RequestId> {
        self.line.front().map(|(id, _)| *id)
    }

    pub(super) fn newest(&self) -> Option<RequestId> {
        self.line.back().map(|(id, _)| *id)
    }

    /// When the oldest request was queued.
    pub(super) fn oldest_since(&self) -> Option<Duration> {
        self.oldest_wait().map(|wait| wait.since)
    }

    pub(super) fn is_overloaded(&self, now: Duration) -> bool {
        self.oldest_wait().is_some_and(|wait| overload::is_overloaded(wait, now))
    }

    pub(super) fn holds(&self, id: RequestId) -> bool {
        self.place_of(id).is_some()
    }

    /// Removes a request; `false` if it is not here.
    pub(super) fn take(&mut self, id: RequestId) -> bool {
        let Some(place) = self.place_of(id).and_then(|place| self.line.get_mut(place)) else { return false };
        place.1 = None;
        self.empty_places += 1;
        self.close_up();
        true
    }

    /// Places in the line, empty ones included.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.line.len()
    }

    fn oldest_wait(&self) -> Option<Wait> {
        self.line.front().and_then(|(_, wait)| *wait)
    }

    fn place_of(&self, id: RequestId) -> Option<usize> {
        let place = self.line.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        self.line.get(place).is_some_and(|(_, wait)| wait.is_some()).then_some(place)
    }

    fn close_up(&mut self) {
        while self.line.pop_front_if(|(_, wait)| wait.is_none()).is_some()
            || self.line.pop_back_if(|(_, wait)| wait.is_none()).is_some()
        {
            self.empty_places -= 1;
        }
        if self.empty_places > self.line.len() / 2 {
            self.line.retain(|(_, wait)| wait.is_some());
            self.empty_places = 0;
        }
    }
}
