//! The limits of the six fields that a token bucket cannot keep exactly: the minimum time between two starts, and the
//! number of starts within any minute.

use std::{collections::VecDeque, time::Duration};

use poolgate_types::ThrottlingConfig;

use crate::limits::Limits;

const MINUTE: Duration = Duration::from_secs(60);

/// The starts of this client, as far back as a limit needs them.
#[derive(Debug, Default)]
pub(crate) struct Spacing {
    last_start: Option<Duration>,
    /// Starts of the last minute, oldest first, kept while a limit per minute is in force; at most the greatest such
    /// limit.
    starts: VecDeque<Duration>,
}

impl Spacing {
    /// When the next start may happen; in the past if it may happen at once.
    pub(crate) fn ready_at(&self, limits: &Limits) -> Duration {
        self.ready_after(0, limits, Duration::ZERO)
    }

    /// When a start may happen if `others` starts come first, none of them before `now`.
    pub(crate) fn ready_after(&self, others: u32, limits: &Limits, now: Duration) -> Duration {
        let spaced = limits.spacing.saturating_mul(others.saturating_add(1));
        let spaced = self.last_start.map_or(Duration::ZERO, |last| last.saturating_add(spaced));
        let minute = limits.per_minute.map(|most| self.minute_allows_at(most.max(1), others, now));
        spaced.max(minute.unwrap_or_default())
    }

    /// Records a start.
    pub(crate) fn record(&mut self, limits: &Limits, now: Duration) {
        self.last_start = Some(now);
        if limits.per_minute.is_some() {
            let outdated = |start: &Duration| start.saturating_add(MINUTE) <= now;
            while self.starts.len() >= ThrottlingConfig::PER_MINUTE.max as usize
                || self.starts.front().is_some_and(outdated)
            {
                self.starts.pop_front();
            }
            self.starts.push_back(now);
        }
    }

    /// A start must be a minute after the `most`-th start before it. If that is one of the `others`, the same rule
    /// gives the time of that one, and so on.
    fn minute_allows_at(&self, most: u32, others: u32, now: Duration) -> Duration {
        let (minutes, others) = (others / most, others % most);
        let blocking = self.starts.len().checked_sub((most - others) as usize).and_then(|index| self.starts.get(index));
        let first = blocking.map_or(Duration::ZERO, |start| start.saturating_add(MINUTE));
        if minutes == 0 { first } else { first.max(now).saturating_add(MINUTE.saturating_mul(minutes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn starts_keep_their_distance() {
        let limits = Limits { spacing: ms(300), ..Limits::default() };
        let mut spacing = Spacing::default();
        assert_eq!(spacing.ready_at(&limits), ms(0));
        spacing.record(&limits, ms(1000));
        assert_eq!(spacing.ready_at(&limits), ms(1300));
        assert_eq!(
            spacing.ready_at(&Limits { spacing: ms(2000), ..limits }),
            ms(3000),
            "another level, the same start"
        );
    }

    #[test]
    fn no_minute_holds_more_starts_than_allowed() {
        let limits = Limits { per_minute: Some(5), ..Limits::default() };
        let mut spacing = Spacing::default();
        for second in 0..5 {
            assert!(spacing.ready_at(&limits) <= ms(second * 1000));
            spacing.record(&limits, ms(second * 1000));
        }
        assert_eq!(spacing.ready_at(&limits), ms(60_000));
        assert_eq!(spacing.ready_at(&Limits { per_minute: Some(2), ..limits }), ms(63_000));
        let six = Limits { per_minute: Some(6), ..limits };
        assert!(spacing.ready_at(&six) <= ms(4000), "at once");
    }

    #[test]
    fn more_starts_than_a_minute_allows_take_further_minutes() {
        let limits = Limits { per_minute: Some(3), ..Limits::default() };
        let mut spacing = Spacing::default();
        [0, 10_000, 20_000].into_iter().for_each(|at| spacing.record(&limits, ms(at)));
        let ready: Vec<_> = (0..8).map(|others| spacing.ready_after(others, &limits, ms(30_000)).as_secs()).collect();
        assert_eq!(ready, [60, 70, 80, 120, 130, 140, 180, 190]);
        let free = Spacing::default();
        assert_eq!([0, 2, 3, 6].map(|others| free.ready_after(others, &limits, ms(30_000)).as_secs()), [0, 0, 90, 150]);
    }

    #[test]
    fn memory_is_bounded() {
        let limits = Limits { per_minute: Some(100), ..Limits::default() };
        let mut spacing = Spacing::default();
        for start in 0..10_000 {
            spacing.record(&limits, ms(start));
        }
        assert_eq!(spacing.starts.len(), 100);
    }
}
