//! The queue: requests of callers that have less than their share of the permits go before those of callers that have
//! it.

use std::time::Duration;

use poolgate_types::Priority;

use super::{
    arrival::{Lane, Reason, Ticket},
    classes::Classes,
    line::Queued,
    settings::Rules,
    usage::Weight,
};

/// Both lanes.
#[derive(Clone, Debug)]
pub(super) struct Lanes<T> {
    within: Classes<T>,
    beyond: Classes<T>,
    /// Requests that exceed an allowance; all of them are beyond.
    excess: usize,
}

impl<T> Lanes<T> {
    pub(super) fn len(&self) -> usize {
        self.within.len() + self.beyond.len()
    }

    pub(super) fn excess(&self) -> usize {
        self.excess
    }

    /// Enters the lane of the ticket at its end.
    pub(super) fn enter(&mut self, ticket: Ticket, queued: Queued<T>) {
        self.excess += usize::from(queued.excess);
        self.of(ticket.lane).enter(ticket, queued);
    }

    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Queued<T>> {
        let queued = self.of(ticket.lane).remove(ticket);
        self.count_out(queued)
    }

    /// Takes out the next request.
    pub(super) fn next(&mut self) -> Option<Queued<T>> {
        let queued = self.within.next().or_else(|| self.beyond.next());
        self.count_out(queued)
    }

    /// Takes a request out of a full queue that should give way to a newcomer.
    pub(super) fn make_room(
        &mut self,
        (newcomer, lane): (Priority, Lane),
        weight: Weight,
        max_queue: usize,
    ) -> Option<Queued<T>> {
        let displaced = match lane {
            Lane::Within => self.beyond.take_last().or_else(|| self.within.make_room(newcomer, weight, max_queue)),
            Lane::Beyond => self.beyond.make_room(newcomer, weight, max_queue),
        };
        self.count_out(displaced)
    }

    /// Decides whether the lines are standing.
    pub(super) fn observe(&mut self, rules: Rules, now: Duration) {
        self.within.observe(rules, now);
        self.beyond.observe(rules, now);
    }

    /// Takes out a request whose wait is over by `now`.
    pub(super) fn expire(&mut self, rules: Rules, now: Duration) -> Option<(Queued<T>, Reason)> {
        let (queued, reason) = self.within.expire(rules, now).or_else(|| self.beyond.expire(rules, now))?;
        self.count_out(Some(queued)).map(|queued| (queued, reason))
    }

    /// When the next wait is over.
    pub(super) fn next_expiry(&self, rules: Rules) -> Option<Duration> {
        self.within.next_expiry(rules).into_iter().chain(self.beyond.next_expiry(rules)).min()
    }

    /// When the oldest request was queued.
    pub(super) fn oldest_since(&self) -> Option<Duration> {
        self.within.oldest_since().into_iter().chain(self.beyond.oldest_since()).min()
    }

    fn of(&mut self, lane: Lane) -> &mut Classes<T> {
        match lane {
            Lane::Within => &mut self.within,
            Lane::Beyond => &mut self.beyond,
        }
    }

    fn count_out(&mut self, queued: Option<Queued<T>>) -> Option<Queued<T>> {
        self.excess -= usize::from(queued.as_ref().is_some_and(|queued| queued.excess));
        queued
    }
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self { within: Classes::default(), beyond: Classes::default(), excess: 0 }
    }
}
