//! The requests that wait: four priorities, first in first out within each, bounded in time.
//!
//! Every operation is O(log n). How many may wait is the throttle's business.

use std::{collections::BTreeMap, time::Duration};

use crate::{Priority, RequestId};

/// What waits.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// In the order of [`Priority::ALL`].
    classes: [Class; 4],
    /// Who leaves next because time is up.
    deadlines: BTreeMap<(Duration, RequestId), Priority>,
}

/// What waits with one priority.
#[derive(Debug, Default)]
struct Class {
    /// Ids grow, so the first is the oldest.
    waiting: BTreeMap<RequestId, Waiting>,
    /// Starts of more important requests in a row while one of these waited.
    passed_over: u32,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    since: Duration,
    deadline: Duration,
}

impl Queue {
    pub(crate) fn push(&mut self, id: RequestId, priority: Priority, since: Duration, deadline: Duration) {
        self.class(priority).waiting.insert(id, Waiting { since, deadline });
        self.deadlines.insert((deadline, id), priority);
    }

    /// Takes out the request that starts next: of the highest priority, unless a lower one's patience is at its end.
    ///
    /// Patience is counted in starts, not in time. Under lasting overload everything that waits is old, and priorities
    /// that rise with age would end in plain order of arrival just when importance matters most.
    pub(crate) fn pop_next(&mut self) -> Option<RequestId> {
        let impatient = |(priority, class): &(Priority, &Class)| {
            !class.waiting.is_empty() && class.passed_over >= priority.patience().max(1)
        };
        let next = Priority::ALL.into_iter().zip(&self.classes).rfind(impatient);
        let next = next.or_else(|| Priority::ALL.into_iter().zip(&self.classes).find(|(_, c)| !c.waiting.is_empty()));
        let (priority, _) = next?;

        for (other, class) in Priority::ALL.into_iter().zip(&mut self.classes) {
            if other == priority {
                class.passed_over = 0;
            } else if other < priority && !class.waiting.is_empty() {
                class.passed_over = class.passed_over.saturating_add(1);
            }
        }
        let (&id, _) = self.class(priority).waiting.first_key_value()?;
        self.take(id, priority);
        Some(id)
    }

    /// Takes out the one that has waited longest.
    pub(crate) fn pop_oldest(&mut self) -> Option<RequestId> {
        let heads = Priority::ALL.into_iter().zip(&self.classes);
        let (id, priority) = heads.filter_map(|(p, c)| c.waiting.keys().next().map(|id| (*id, p))).min()?;
        self.take(id, priority);
        Some(id)
    }

    /// Takes out the newest of the least important, if that is less important than `priority`.
    pub(crate) fn pop_newest_below(&mut self, priority: Priority) -> Option<RequestId> {
        let lower = Priority::ALL.into_iter().zip(&self.classes).filter(|(other, _)| *other < priority);
        let (id, victim) = lower.filter_map(|(p, c)| c.waiting.keys().next_back().map(|id| (*id, p))).next_back()?;
        self.take(id, victim);
        Some(id)
    }

    /// Takes out one that has waited as long as it may.
    pub(crate) fn pop_expired(&mut self, now: Duration) -> Option<RequestId> {
        let (&(deadline, id), &priority) = self.deadlines.first_key_value()?;
        if deadline > now {
            return None;
        }
        self.take(id, priority);
        Some(id)
    }

    /// Takes out this one; `false` when it does not wait.
    pub(crate) fn remove(&mut self, id: RequestId) -> bool {
        Priority::ALL.into_iter().any(|priority| self.take(id, priority))
    }

    pub(crate) fn len(&self) -> usize {
        self.deadlines.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.deadlines.is_empty()
    }

    /// When the first one has waited as long as it may.
    pub(crate) fn first_deadline(&self) -> Option<Duration> {
        self.deadlines.keys().next().map(|(deadline, _)| *deadline)
    }

    /// Since when the oldest waits.
    pub(crate) fn oldest_since(&self) -> Option<Duration> {
        self.classes.iter().filter_map(|class| class.waiting.values().next()).map(|waiting| waiting.since).min()
    }

    fn take(&mut self, id: RequestId, priority: Priority) -> bool {
        match self.class(priority).waiting.remove(&id) {
            Some(waiting) => self.deadlines.remove(&(waiting.deadline, id)).is_some(),
            None => false,
        }
    }

    fn class(&mut self, priority: Priority) -> &mut Class {
        let [critical, high, normal, low] = &mut self.classes;
        match priority {
            Priority::Critical => critical,
            Priority::High => high,
            Priority::Normal => normal,
            Priority::Low => low,
        }
    }
}

#[cfg(test)]
mod tests {
    use Priority::{Critical, High, Low, Normal};

    use super::*;

    fn queue(priorities: &[Priority]) -> Queue {
        let mut queue = Queue::default();
        for (id, priority) in (0..).zip(priorities) {
            queue.push(RequestId(id), *priority, Duration::from_millis(id), Duration::from_secs(10 + id));
        }
        queue
    }

    fn drain(queue: &mut Queue) -> Vec<u64> {
        std::iter::from_fn(|| queue.pop_next()).map(RequestId::as_u64).collect()
    }

    #[test]
    fn the_most_important_goes_first_and_equals_in_order_of_arrival() {
        let mut queue = queue(&[Low, Normal, Critical, High, Normal, Critical]);
        assert_eq!(drain(&mut queue), [2, 5, 3, 1, 4, 0]);
        assert!(queue.is_empty() && queue.deadlines.is_empty());
    }

    #[test]
    fn nobody_is_passed_over_for_ever() {
        let mut queue = queue(&[Low, Normal, High]);
        let mut started = Vec::new();
        for id in 3..43 {
            queue.push(RequestId(id), Critical, Duration::ZERO, Duration::MAX);
            started.push(queue.pop_next().unwrap().as_u64());
        }
        assert_eq!(started.iter().position(|id| *id == 2), Some(4), "high after 4 others");
        assert_eq!(started.iter().position(|id| *id == 1), Some(8), "normal after 8 more important ones");
        assert_eq!(started.iter().position(|id| *id == 0), Some(16), "low after 16");
    }

    #[test]
    fn shares_under_lasting_overload() {
        let mut queue = Queue::default();
        let mut starts = [0_u32; 4];
        let mut next_id = 0;
        let mut top_up = |queue: &mut Queue, priority| {
            queue.push(RequestId(next_id * 4 + priority as u64), priority, Duration::ZERO, Duration::MAX);
            next_id += 1;
        };
        Priority::ALL.into_iter().for_each(|priority| top_up(&mut queue, priority));
        for _ in 0..1600 {
            let id = queue.pop_next().unwrap().as_u64();
            let priority = [Low, Normal, High, Critical][(id % 4) as usize];
            starts[priority as usize] += 1;
            top_up(&mut queue, priority);
        }
        let [low, normal, high, critical] = starts;
        assert!(critical > high && high > normal && normal > low && low >= 1600 / 20, "{starts:?}");
    }

    #[test]
    fn overflow_sheds_the_newest_of_the_least_important() {
        let mut queue = queue(&[Low, Normal, Low, High]);
        assert_eq!(queue.pop_newest_below(Low), None);
        assert_eq!(queue.pop_newest_below(Normal), Some(RequestId(2)));
        assert_eq!(queue.pop_newest_below(Critical), Some(RequestId(0)));
        assert_eq!(queue.pop_newest_below(Critical), Some(RequestId(1)));
        assert_eq!(queue.pop_newest_below(High), None);
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn leaves_by_deadline_by_name_and_by_age() {
        let mut queue = queue(&[Low, Normal, High, Critical]);
        assert_eq!(queue.first_deadline(), Some(Duration::from_secs(10)));
        assert_eq!(queue.pop_expired(Duration::from_secs(9)), None);
        assert_eq!(queue.pop_expired(Duration::from_secs(10)), Some(RequestId(0)));
        assert!(queue.remove(RequestId(2)) && !queue.remove(RequestId(2)));
        assert_eq!(queue.oldest_since(), Some(Duration::from_millis(1)));
        assert_eq!(queue.pop_oldest(), Some(RequestId(1)));
        assert_eq!(queue.len(), 1);
    }
}
