//! The queue: those whose callers have less than their share of the permits go before those whose callers have it.

use std::time::Duration;

use super::{
    arrival::{Lane, Priority, Reason, Ticket},
    classes::Classes,
    line::Waiting,
    settings::Rules,
    usage::Weight,
};

/// Both lanes.
#[derive(Clone, Debug)]
pub(super) struct Lanes<T> {
    within: Classes<T>,
    beyond: Classes<T>,
    /// Those in excess of an allowance, all of them beyond.
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
    pub(super) fn enter(&mut self, ticket: Ticket, waiting: Waiting<T>) {
        self.excess += usize::from(waiting.excess);
        self.of(ticket.lane).enter(ticket, waiting);
    }

    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Waiting<T>> {
        let waiting = self.of(ticket.lane).remove(ticket);
        self.gone(waiting)
    }

    /// Takes out who is let in next.
    pub(super) fn next(&mut self) -> Option<Waiting<T>> {
        let waiting = self.within.next().or_else(|| self.beyond.next());
        self.gone(waiting)
    }

    /// Takes somebody out of a full queue, if there is anybody who should go for a newcomer.
    pub(super) fn make_room(
        &mut self,
        (newcomer, lane): (Priority, Lane),
        weight: Weight,
        max_queue: usize,
    ) -> Option<Waiting<T>> {
        let displaced = match lane {
            Lane::Within => self.beyond.take_last().or_else(|| self.within.make_room(newcomer, weight, max_queue)),
            Lane::Beyond => self.beyond.make_room(newcomer, weight, max_queue),
        };
        self.gone(displaced)
    }

    /// Decides whether the lines are standing.
    pub(super) fn observe(&mut self, rules: Rules, now: Duration) {
        self.within.observe(rules, now);
        self.beyond.observe(rules, now);
    }

    /// Takes out one whose wait is over by `now`.
    pub(super) fn expire(&mut self, rules: Rules, now: Duration) -> Option<(Waiting<T>, Reason)> {
        let (waiting, reason) = self.within.expire(rules, now).or_else(|| self.beyond.expire(rules, now))?;
        self.gone(Some(waiting)).map(|waiting| (waiting, reason))
    }

    /// When the next wait is over.
    pub(super) fn next_expiry(&self, rules: Rules) -> Option<Duration> {
        self.within.next_expiry(rules).into_iter().chain(self.beyond.next_expiry(rules)).min()
    }

    /// Since when the oldest has waited.
    pub(super) fn oldest_since(&self) -> Option<Duration> {
        self.within.oldest_since().into_iter().chain(self.beyond.oldest_since()).min()
    }

    fn of(&mut self, lane: Lane) -> &mut Classes<T> {
        match lane {
            Lane::Within => &mut self.within,
            Lane::Beyond => &mut self.beyond,
        }
    }

    fn gone(&mut self, waiting: Option<Waiting<T>>) -> Option<Waiting<T>> {
        self.excess -= usize::from(waiting.as_ref().is_some_and(|waiting| waiting.excess));
        waiting
    }
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self { within: Classes::default(), beyond: Classes::default(), excess: 0 }
    }
}
