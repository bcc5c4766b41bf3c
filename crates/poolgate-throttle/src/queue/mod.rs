//! The requests that wait: four priorities, bounded in time, in order of arrival or, under overload, newest first.
//!
//! Every operation is O(log n), over many calls. How many may wait is the throttle's business.

mod class;
mod deadlines;
mod overload;

use std::time::Duration;

use class::Class;
use deadlines::{Deadlines, Entry};

use crate::{Priority, RequestId, eta::Ahead};

/// What waits.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// In the order of [`Priority::ALL`].
    classes: [Class; 4],
    deadlines: Deadlines,
}

/// Since when a request waits, and until when it may.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub(crate) since: Duration,
    pub(crate) deadline: Duration,
}

/// In which order requests of one class start.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Discipline {
    Arrival,
    /// The newest first in a class that is overloaded at this moment.
    NewestUnderOverload(Duration),
}

impl Queue {
    pub(crate) fn push(&mut self, id: RequestId, priority: Priority, wait: Wait) {
        self.class_mut(priority).push(id, wait);
        self.deadlines.push(Entry { deadline: wait.deadline, id, priority });
    }

    /// Takes out the request that starts next: of the highest priority, unless a lower one's patience is at its end.
    ///
    /// Patience is counted in starts, not in time. Under lasting overload everything that waits is old, and priorities
    /// that rise with age would end in plain order of arrival just when importance matters most.
    pub(crate) fn pop_next(&mut self, discipline: Discipline) -> Option<RequestId> {
        let impatient = |(priority, class): &(Priority, &Class)| {
            !class.is_empty() && class.passed_over >= patience(*priority).max(1)
        };
        let next = self.by_priority().rfind(impatient);
        let (priority, class) = next.or_else(|| self.by_priority().find(|(_, class)| !class.is_empty()))?;
        let id = if discipline.is_newest_first(class) { class.newest() } else { class.oldest() }?;

        for (other, class) in Priority::ALL.into_iter().zip(&mut self.classes) {
            if other == priority {
                class.passed_over = 0;
            } else if other < priority && !class.is_empty() {
                class.passed_over = class.passed_over.saturating_add(1);
            }
        }
        self.take(id, priority).then_some(id)
    }

    /// Takes out the one that has waited longest.
    pub(crate) fn pop_oldest(&mut self) -> Option<RequestId> {
        let oldest = self.by_priority().filter_map(|(priority, class)| Some((class.oldest()?, priority)));
        let (id, priority) = oldest.min()?;
        self.take(id, priority).then_some(id)
    }

    /// Takes out the one that would start last, if that is later than a newcomer of this `priority` would.
    pub(crate) fn pop_last_before(&mut self, priority: Priority, discipline: Discipline) -> Option<RequestId> {
        let (victim, class) = self.by_priority().rfind(|(_, class)| !class.is_empty())?;
        let newest_first = discipline.is_newest_first(class);
        if victim > priority || victim == priority && !newest_first {
            return None;
        }
        let id = if newest_first { class.oldest() } else { class.newest() }?;
        self.take(id, victim).then_some(id)
    }

    /// Takes out one that has waited as long as it may.
    pub(crate) fn pop_expired(&mut self, now: Duration) -> Option<RequestId> {
        let Entry { id, priority, .. } = self.deadlines.first().filter(|first| first.deadline <= now)?;
        self.take(id, priority).then_some(id)
    }

    /// Takes out this one; `false` when it does not wait.
    pub(crate) fn remove(&mut self, id: RequestId) -> bool {
        Priority::ALL.into_iter().any(|priority| self.take(id, priority))
    }

    pub(crate) fn len(&self) -> usize {
        self.classes.iter().map(Class::len).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.deadlines.first().is_none()
    }

    /// When the first of them has waited as long as it may.
    pub(crate) fn first_deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|first| first.deadline)
    }

    /// Since when the one that has waited longest has.
    pub(crate) fn oldest_since(&self) -> Option<Duration> {
        self.classes.iter().filter_map(Class::oldest_since).min()
    }

    /// Those ahead of a newcomer of this priority; `None` while newer ones would overtake it.
    pub(crate) fn ahead_of_newcomer(&self, priority: Priority, discipline: Discipline) -> Option<Ahead> {
        let class = class_of(&self.classes, priority);
        (!discipline.is_newest_first(class)).then(|| self.ahead(priority, class.len()))
    }

    /// Those ahead of the one that has waited longest; `None` while newer ones overtake it.
    pub(crate) fn ahead_of_oldest(&self, discipline: Discipline) -> Option<Ahead> {
        let (priority, class) =
            self.by_priority().filter(|(_, class)| !class.is_empty()).min_by_key(|(_, class)| class.oldest())?;
        (!discipline.is_newest_first(class)).then(|| self.ahead(priority, 0))
    }

    /// Those ahead of a request with so many `peers` of its own priority before it: more important ones as far as its
    /// class's patience goes, and less important ones whose patience ends meanwhile.
    fn ahead(&self, priority: Priority, peers: usize) -> Ahead {
        let own_patience = patience(priority) as usize;
        let higher: usize =
            self.by_priority().filter(|(other, _)| *other > priority).map(|(_, class)| class.len()).sum();
        let least = peers + higher.min(peers * own_patience);
        let own = peers + higher.min((peers + 1) * own_patience);
        let lower = self.by_priority().filter(|(other, _)| *other < priority);
        let impatient: usize =
            lower.map(|(other, class)| class.len().min(own / patience(other).max(1) as usize + 1)).sum();
        let count = |starts: usize| u32::try_from(starts).unwrap_or(u32::MAX);
        Ahead { least: count(least), most: count(own + impatient) }
    }

    fn take(&mut self, id: RequestId, priority: Priority) -> bool {
        let taken = self.class_mut(priority).take(id);
        if taken {
            let (waiting, classes) = (self.len(), &self.classes);
            self.deadlines.clear_away(waiting, |entry| class_of(classes, entry.priority).holds(entry.id));
        }
        taken
    }

    /// The most important first.
    fn by_priority(&self) -> impl DoubleEndedIterator<Item = (Priority, &Class)> {
        Priority::ALL.into_iter().zip(&self.classes)
    }

    fn class_mut(&mut self, priority: Priority) -> &mut Class {
        let [critical, high, normal, low] = &mut self.classes;
        match priority {
            Priority::Critical => critical,
            Priority::High => high,
            Priority::Normal => normal,
            Priority::Low => low,
        }
    }
}

impl Discipline {
    fn is_newest_first(self, class: &Class) -> bool {
        match self {
            Self::Arrival => false,
            Self::NewestUnderOverload(now) => class.is_overloaded(now),
        }
    }
}

/// How many starts in a row may pass over the waiting requests of a priority before one of them goes next; 0: none. With all
/// four waiting, about every 16th start is a low one.
const fn patience(priority: Priority) -> u32 {
    match priority {
        Priority::Critical => 0,
        Priority::High => 4,
        Priority::Normal => 8,
        Priority::Low => 16,
    }
}

const fn class_of(classes: &[Class; 4], priority: Priority) -> &Class {
    let [critical, high, normal, low] = classes;
    match priority {
        Priority::Critical => critical,
        Priority::High => high,
        Priority::Normal => normal,
        Priority::Low => low,
    }
}

#[cfg(test)]
mod tests;
