//! One lane of the queue: a line for each priority, and which of them comes next.

use std::time::Duration;

use super::{
    arrival::{Priority, Reason, Ticket},
    line::{Line, Waiting},
    settings::Rules,
    usage::Weight,
};

/// Of the permits that are handed on while it waits, and of the queue's places, a line gets at least one in so many.
const FLOOR: u32 = 10;

/// The lines of all priorities.
#[derive(Clone, Debug)]
pub(super) struct Classes<T> {
    interactive: Class<T>,
    normal: Class<T>,
    background: Class<T>,
}

#[derive(Clone, Debug)]
struct Class<T> {
    line: Line<T>,
    /// Permits handed on while somebody waited here, less [`FLOOR`] for each that came here.
    due: u32,
}

impl<T> Classes<T> {
    pub(super) fn len(&self) -> usize {
        self.highest_first().iter().map(|class| class.line.len()).sum()
    }

    /// Enters the line of the ticket at its end.
    pub(super) fn enter(&mut self, ticket: Ticket, waiting: Waiting<T>) {
        self.of(ticket.priority).line.enter(ticket.number, waiting);
    }

    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Waiting<T>> {
        self.of(ticket.priority).line.remove(ticket.number)
    }

    /// Takes out who is let in next: of the highest priority, unless a line has waited for its share.
    pub(super) fn next(&mut self) -> Option<Waiting<T>> {
        let mut classes = self.highest_first_mut();
        for class in &mut classes {
            // Who is not there saves nothing up.
            class.due = if class.line.len() == 0 { 0 } else { class.due.saturating_add(1) };
        }
        let overdue = classes.iter().position(|class| class.due >= FLOOR);
        let highest = || classes.iter().position(|class| class.due > 0);
        let class = overdue.or_else(highest).and_then(|chosen| classes.get_mut(chosen))?;
        class.due = class.due.saturating_sub(FLOOR);
        class.line.next()
    }

    /// Takes somebody out of a full queue, if there is anybody who should go for a newcomer: the newest of the heaviest
    /// callers of a lower priority, or, where that is below its share of the queue, of any other; else one of the same
    /// priority whose caller is heavier.
    pub(super) fn make_room(&mut self, newcomer: Priority, weight: Weight, max_queue: usize) -> Option<Waiting<T>> {
        let share = max_queue.div_ceil(FLOOR as usize);
        let below_its_share = self.of(newcomer).line.len() < share;
        let gives_way = |priority: Priority| priority < newcomer || (priority != newcomer && below_its_share);
        for priority in [Priority::Background, Priority::Normal, Priority::Interactive] {
            let line = &mut self.of(priority).line;
            if gives_way(priority) && line.len() > share {
                return line.take_heaviest();
            }
        }
        let line = &mut self.of(newcomer).line;
        if line.heaviest() > Some(weight) { line.take_heaviest() } else { None }
    }

    /// Takes out the newest of the heaviest callers of the lowest priority.
    pub(super) fn take_last(&mut self) -> Option<Waiting<T>> {
        self.highest_first_mut().into_iter().rev().find_map(|class| class.line.take_heaviest())
    }

    /// Decides whether the lines are standing.
    pub(super) fn observe(&mut self, rules: Rules, now: Duration) {
        for class in self.highest_first_mut() {
            class.line.observe(rules, now);
        }
    }

    /// Takes out one whose wait is over by `now`.
    pub(super) fn expire(&mut self, rules: Rules, now: Duration) -> Option<(Waiting<T>, Reason)> {
        self.highest_first_mut().into_iter().find_map(|class| class.line.expire(rules, now))
    }

    /// When the next wait is over.
    pub(super) fn next_expiry(&self, rules: Rules) -> Option<Duration> {
        self.highest_first().iter().filter_map(|class| class.line.next_expiry(rules)).min()
    }

    /// Since when the oldest has waited.
    pub(super) fn oldest_since(&self) -> Option<Duration> {
        self.highest_first().iter().filter_map(|class| class.line.oldest_since()).min()
    }

    fn of(&mut self, priority: Priority) -> &mut Class<T> {
        match priority {
            Priority::Interactive => &mut self.interactive,
            Priority::Normal => &mut self.normal,
            Priority::Background => &mut self.background,
        }
    }

    fn highest_first(&self) -> [&Class<T>; 3] {
        [&self.interactive, &self.normal, &self.background]
    }

    fn highest_first_mut(&mut self) -> [&mut Class<T>; 3] {
        [&mut self.interactive, &mut self.normal, &mut self.background]
    }
}

impl<T> Default for Classes<T> {
    fn default() -> Self {
        Self { interactive: Class::default(), normal: Class::default(), background: Class::default() }
    }
}

impl<T> Default for Class<T> {
    fn default() -> Self {
        Self { line: Line::default(), due: 0 }
    }
}
