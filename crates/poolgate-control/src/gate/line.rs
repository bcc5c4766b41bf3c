//! Those of one priority who wait.

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

/// A line. Every operation takes logarithmic time for each who enters or goes.
#[derive(Clone, Debug)]
pub(super) struct Line<T> {
    /// By number: the oldest first.
    waiting: BTreeMap<u64, Waiting<T>>,
    /// By weight, then by number: the oldest of the lightest callers first.
    weights: BTreeSet<(Weight, u64)>,
    /// Of those who have one.
    deadlines: BTreeSet<(Duration, u64)>,
    standing: StandingWait,
}

/// One who waits.
#[derive(Clone, Debug)]
pub(super) struct Waiting<T> {
    pub(super) since: Duration,
    pub(super) deadline: Option<Duration>,
    pub(super) caller: Option<u64>,
    pub(super) weight: Weight,
    pub(super) excess: bool,
    pub(super) waiter: T,
}

impl<T> Line<T> {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Enters at the end: `number` must be above all before it.
    pub(super) fn enter(&mut self, number: u64, waiting: Waiting<T>) {
        self.weights.insert((waiting.weight, number));
        self.deadlines.extend(waiting.deadline.map(|deadline| (deadline, number)));
        self.waiting.insert(number, waiting);
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Waiting<T>> {
        let waiting = self.waiting.remove(&number)?;
        self.weights.remove(&(waiting.weight, number));
        if let Some(deadline) = waiting.deadline {
            self.deadlines.remove(&(deadline, number));
        }
        Some(waiting)
    }

    /// Takes out who is let in next: the oldest, or, of a standing line, the newest of the lightest callers.
    pub(super) fn next(&mut self) -> Option<Waiting<T>> {
        let number = if self.standing.is_standing() {
            let lightest = self.weights.first()?.0;
            self.weights.range((lightest, 0)..=(lightest, u64::MAX)).next_back()?.1
        } else {
            *self.waiting.first_key_value()?.0
        };
        self.remove(number)
    }

    pub(super) fn heaviest(&self) -> Option<Weight> {
        self.weights.last().map(|(weight, _)| *weight)
    }

    /// Takes out the newest of the heaviest callers.
    pub(super) fn take_heaviest(&mut self) -> Option<Waiting<T>> {
        let (_, number) = *self.weights.last()?;
        self.remove(number)
    }

    pub(super) fn oldest_since(&self) -> Option<Duration> {
        self.waiting.first_key_value().map(|(_, oldest)| oldest.since)
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

    /// Takes out one whose wait is over by `now`.
    pub(super) fn expire(&mut self, rules: Rules, now: Duration) -> Option<(Waiting<T>, Reason)> {
        let (number, reason, _) = self.next_to_expire(rules).filter(|(_, _, at)| *at <= now)?;
        self.remove(number).map(|waiting| (waiting, reason))
    }

    /// When the next wait is over.
    pub(super) fn next_expiry(&self, rules: Rules) -> Option<Duration> {
        self.next_to_expire(rules).map(|(_, _, at)| at)
    }

    fn next_to_expire(&self, rules: Rules) -> Option<(u64, Reason, Duration)> {
        let (number, oldest) = self.waiting.first_key_value()?;
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
            waiting: BTreeMap::new(),
            weights: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            standing: StandingWait::default(),
        }
    }
}
