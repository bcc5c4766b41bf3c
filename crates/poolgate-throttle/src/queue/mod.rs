//! The queued requests: four priorities, each with a deadline, in order of arrival or newest first under overload.
//!
//! Every operation takes amortised O(log n). The throttle limits the number of requests.

mod class;
mod deadlines;
mod overload;

use std::time::Duration;

use class::Class;
use deadlines::{Deadlines, Entry};

use poolgate_types::Priority;

use crate::{eta::Ahead, request::RequestId};

/// All queued requests.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// In the order of [`Priority::ALL`].
    classes: [Class; 4],
    deadlines: Deadlines,
}

/// When a request was queued, and when its time is up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub(crate) since: Duration,
    pub(crate) deadline: Duration,
}

/// The order of requests of one priority.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Discipline {
    Arrival,
    /// Newest first if the class is overloaded at this moment.
    NewestUnderOverload(Duration),
}

impl Queue {
    pub(crate) fn push(&mut self, id: RequestId, priority: Priority, wait: Wait) {
        self.class_mut(priority).push(id, wait);
        self.deadlines.push(Entry { deadline: wait.deadline, id, priority });
    }

    /// Removes the request that starts next: of the highest priority, unless the patience of a lower one is exhausted.
    ///
    /// Patience counts starts, not time. Under lasting overload all queued requests are old, and priorities that rise
    /// with age would end in plain order of arrival just when priority matters most.
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

    /// Removes the oldest request.
    pub(crate) fn pop_oldest(&mut self) -> Option<RequestId> {
        let oldest = self.by_priority().filter_map(|(priority, class)| Some((class.oldest()?, priority)));
        let (id, priority) = oldest.min()?;
        self.take(id, priority).then_some(id)
    }

    /// Removes the request that would start last, if a new one of this `priority` would start before it.
    pub(crate) fn pop_last_before(&mut self, priority: Priority, discipline: Discipline) -> Option<RequestId> {
        let (victim, class) = self.by_priority().rfind(|(_, class)| !class.is_empty())?;
        let newest_first = discipline.is_newest_first(class);
        if victim > priority || victim == priority && !newest_first {
            return None;
        }
        let id = if newest_first { class.oldest() } else { class.newest() }?;
        self.take(id, victim).then_some(id)
    }

    /// Removes a request whose deadline has passed.
    pub(crate) fn pop_expired(&mut self, now: Duration) -> Option<RequestId> {
        let Entry { id, priority, .. } = self.deadlines.first().filter(|first| first.deadline <= now)?;
        self.take(id, priority).then_some(id)
    }

    /// Removes this request; `false` if it is not queued.
    pub(crate) fn remove(&mut self, id: RequestId) -> bool {
        Priority::ALL.into_iter().any(|priority| self.take(id, priority))
    }

    pub(crate) fn len(&self) -> usize {
        self.classes.iter().map(Class::len).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.deadlines.first().is_none()
    }

    /// The earliest deadline.
    pub(crate) fn first_deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|first| first.deadline)
    }

    /// When the oldest request was queued.
    pub(crate) fn oldest_since(&self) -> Option<Duration> {
        self.classes.iter().filter_map(Class::oldest_since).min()
    }

    /// How many start before a new request of this priority; `None` if later requests would overtake it.
    pub(crate) fn ahead_of_newcomer(&self, priority: Priority, discipline: Discipline) -> Option<Ahead> {
        let class = class_of(&self.classes, priority);
        (!discipline.is_newest_first(class)).then(|| self.ahead(priority, class.len()))
    }

    /// How many start before a request with `peers` older ones of its own priority: higher priorities as far as its own
    /// patience allows, and lower ones whose patience is exhausted meanwhile.
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

    /// The highest priority first.
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
