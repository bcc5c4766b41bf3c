//! One lane of the queue: a line for each priority, and which of them is next.

use std::time::Duration;

use poolgate_types::Priority;

use super::{
    arrival::{Reason, Ticket},
    line::{Line, Queued},
    settings::Rules,
    usage::Weight,
};

/// A line gets at least one in this many of the permits that are handed on while it is not empty, and of the queue's
/// places.
const FLOOR: u32 = 10;

/// The lines of all priorities.
#[derive(Clone, Debug)]
pub(super) struct Classes<T> {
    critical: Class<T>,
    high: Class<T>,
    normal: Class<T>,
    low: Class<T>,
}

#[derive(Clone, Debug)]
struct Class<T> {
    line: Line<T>,
    /// Permits handed on while this line was not empty, less [`FLOOR`] for each that came here.
    due: u32,
}

impl<T> Classes<T> {
    pub(super) fn len(&self) -> usize {
        self.highest_first().iter().map(|class| class.line.len()).sum()
    }

    /// Enters the line of the ticket at its end.
    pub(super) fn enter(&mut self, ticket: Ticket, queued: Queued<T>) {
        self.of(ticket.priority).line.enter(ticket.number, queued);
    }

    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Queued<T>> {
        self.of(ticket.priority).line.remove(ticket.number)
    }

    /// Takes out the next request: of the highest priority, unless a lower line is due its share.
    pub(super) fn next(&mut self) -> Option<Queued<T>> {
        let mut classes = self.highest_first_mut();
        for class in &mut classes {
            // An empty line saves nothing up.
            class.due = if class.line.len() == 0 { 0 } else { class.due.saturating_add(1) };
        }
        let overdue = classes.iter().position(|class| class.due >= FLOOR);
        let highest = || classes.iter().position(|class| class.due > 0);
        let class = overdue.or_else(highest).and_then(|chosen| classes.get_mut(chosen))?;
        class.due = class.due.saturating_sub(FLOOR);
        class.line.next()
    }

    /// Takes a request out of a full queue that should give way to a newcomer: the newest of the heaviest caller of a
    /// lower priority (of any other priority while the newcomer's has less than its share of the queue), otherwise one
    /// of the same priority whose caller is heavier.
    pub(super) fn make_room(&mut self, newcomer: Priority, weight: Weight, max_queue: usize) -> Option<Queued<T>> {
        let share = max_queue.div_ceil(FLOOR as usize);
        let below_its_share = self.of(newcomer).line.len() < share;
        let gives_way = |priority: Priority| priority < newcomer || (priority != newcomer && below_its_share);
        for priority in Priority::ALL.into_iter().rev() {
            let line = &mut self.of(priority).line;
            if gives_way(priority) && line.len() > share {
                return line.take_heaviest();
            }
        }
        let line = &mut self.of(newcomer).line;
        if line.heaviest() > Some(weight) { line.take_heaviest() } else { None }
    }

    /// Takes out the newest request of the heaviest caller of the lowest priority.
    pub(super) fn take_last(&mut self) -> Option<Queued<T>> {
        self.highest_first_mut().into_iter().rev().find_map(|class| class.line.take_heaviest())
    }

    /// Decides whether the lines are standing.
    pub(super) fn observe(&mut self, rules: Rules, now: Duration) {
        for class in self.highest_first_mut() {
            class.line.observe(rules, now);
        }
    }

    /// Takes out a request whose wait is over by `now`.
    pub(super) fn expire(&mut self, rules: Rules, now: Duration) -> Option<(Queued<T>, Reason)> {
        self.highest_first_mut().into_iter().find_map(|class| class.line.expire(rules, now))
    }

    /// When the next wait is over.
    pub(super) fn next_expiry(&self, rules: Rules) -> Option<Duration> {
        self.highest_first().iter().filter_map(|class| class.line.next_expiry(rules)).min()
    }

    /// When the oldest request was queued.
    pub(super) fn oldest_since(&self) -> Option<Duration> {
        self.highest_first().iter().filter_map(|class| class.line.oldest_since()).min()
    }

    fn of(&mut self, priority: Priority) -> &mut Class<T> {
        match priority {
            Priority::Critical => &mut self.critical,
            Priority::High => &mut self.high,
            Priority::Normal => &mut self.normal,
            Priority::Low => &mut self.low,
        }
    }

    fn highest_first(&self) -> [&Class<T>; 4] {
        [&self.critical, &self.high, &self.normal, &self.low]
    }

    fn highest_first_mut(&mut self) -> [&mut Class<T>; 4] {
        [&mut self.critical, &mut self.high, &mut self.normal, &mut self.low]
    }
}

impl<T> Default for Classes<T> {
    fn default() -> Self {
        Self { critical: Class::default(), high: Class::default(), normal: Class::default(), low: Class::default() }
    }
}

impl<T> Default for Class<T> {
    fn default() -> Self {
        Self { line: Line::default(), due: 0 }
    }
}
