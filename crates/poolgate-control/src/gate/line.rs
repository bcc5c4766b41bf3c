//! The queued requests of one priority.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    arrival::Reason,
    settings::{Order, Rules},
    standing_wait::StandingWait,
    usage::Weight,
};

/// A line. Each operation takes logarithmic time for each request that enters or leaves.
#[derive(Clone, Debug)]
pub(super) struct Line<T> {
    /// By number: the oldest first.
    queued: BTreeMap<u64, Queued<T>>,
    /// By weight, then by number: the oldest of the lightest callers first.
    weights: BTreeSet<(Weight, u64)>,
    /// Of the requests that have one.
    deadlines: BTreeSet<(Duration, u64)>,
    standing: StandingWait,
}

/// A queued request.
#[derive(Clone, Debug)]
pub(super) struct Queued<T> {
    pub(super) since: Duration,
    pub(super) deadline: Option<Duration>,
    pub(super) caller: Option<u64>,
    pub(super) weight: Weight,
    pub(super) excess: bool,
    pub(super) waiter: T,
}

impl<T> Line<T> {
    pub(super) fn len(&self) -> usize {
        self.queued.len()
    }

    /// Enters at the end: `number` must be above all before it.
    pub(super) fn enter(&mut self, number: u64, queued: Queued<T>) {
        self.weights.insert((queued.weight, number));
        self.deadlines.extend(queued.deadline.map(|deadline| (deadline, number)));
        self.queued.insert(number, queued);
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Queued<T>> {
        let queued = self.queued.remove(&number)?;
        self.weights.remove(&(queued.weight, number));
        if let Some(deadline) = queued.deadline {
            self.deadlines.remove(&(deadline, number));
        }
        Some(queued)
    }

    /// Takes out the next request: the oldest, or, in a standing line, the newest of the lightest callers.
    pub(super) fn next(&mut self) -> Option<Queued<T>> {
        let number = if self.standing.is_standing() {
            let lightest = self.weights.first()?.0;
            self.weights.range((lightest, 0)..=(lightest, u64::MAX)).next_back()?.1
        } else {
            *self.queued.first_key_value()?.0
        };
        self.remove(number)
    }

    pub(super) fn heaviest(&self) -> Option<Weight> {
        self.weights.last().map(|(weight, _)| *weight)
    }

    /// Takes out the newest request of the heaviest callers.
    pub(super) fn take_heaviest(&mut self) -> Option<Queued<T>> {
        let (_, number) = *self.weights.last()?;
        self.remove(number)
    }

    pub(super) fn oldest_since(&self) -> Option<Duration> {
        self.queued.first_key_value().map(|(_, oldest)| oldest.since)
    }

    /// Decides whether the line is standing.
    pub(super) fn observe(&mut self, rules: Rules, now: Duration) {
        if rules.filling {
            self.standing.restart(rules.interval, now);
        } else if rules.order == Order::Adaptive {
            let wait = self.oldest_since().map_or(Duration::ZERO, |since| now.saturating_sub(since));
            self.standing.observe(wait, rules.target, rules.interval, now);
        }
    }

    /// Takes out a request whose wait is over by `now`.
    pub(super) fn expire(&mut self, rules: Rules, now: Duration) -> Option<(Queued<T>, Reason)> {
        let (number, reason, _) = self.next_to_expire(rules).filter(|(_, _, at)| *at <= now)?;
        self.remove(number).map(|queued| (queued, reason))
    }

    /// When the next wait is over.
    pub(super) fn next_expiry(&self, rules: Rules) -> Option<Duration> {
        self.next_to_expire(rules).map(|(_, _, at)| at)
    }

    fn next_to_expire(&self, rules: Rules) -> Option<(u64, Reason, Duration)> {
        let (number, oldest) = self.queued.first_key_value()?;
        let (reason, age) = if self.standing.is_standing() && rules.max_age < rules.timeout {
            (Reason::TooOld, rules.max_age)
        } else {
            (Reason::Timeout, rules.timeout)
        };
        let by_age = (*number, reason, oldest.since.saturating_add(age));
        let urgent = self.deadlines.first();
        let by_deadline = urgent.map(|(deadline, number)| (*number, Reason::Deadline, rules.latest_start(*deadline)));
        Some(by_deadline.filter(|(_, _, at)| *at < by_age.2).unwrap_or(by_age))
    }
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self {
            queued: BTreeMap::new(),
            weights: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            standing: StandingWait::default(),
        }
    }
}
