//! Detects writes that fail while the database answers, by the results of the newest writes.

use std::time::Duration;

use poolgate_types::{AlertKind, Reason, Severity};

use crate::sample::WorkSample;

/// Weight of the newest write in the share of failed writes: three failures in a row raise it above a half.
const NEWEST: f64 = 0.25;
/// Writes count as failing from the first of these shares on, until the share falls below the second.
const ENTER: f64 = 0.5;
const LEAVE: f64 = 0.2;
/// The share must be that high for this long, because a short lock is no lasting state.
const LASTING: Duration = Duration::from_secs(1);
/// Statements count as waiting for locks when the first number of them does, or the second and at least half of all
/// running.
const MANY_WAIT: u32 = 5;
const SOME_WAIT: u32 = 2;
/// After this time without a failure the state is unknown.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// What keeps the database from writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hindrance {
    ReadOnly,
    StorageFull,
    Blocked,
}

impl Hindrance {
    pub(crate) const ALL: [Self; 3] = [Self::ReadOnly, Self::StorageFull, Self::Blocked];

    pub(crate) const fn alert(self) -> AlertKind {
        match self {
            Self::ReadOnly => AlertKind::ReadOnly,
            Self::StorageFull => AlertKind::StorageFull,
            Self::Blocked => AlertKind::WritesBlocked,
        }
    }

    pub(crate) const fn reason(self) -> Reason {
        match self {
            Self::ReadOnly => Reason::ReadOnly,
            Self::StorageFull => Reason::StorageFull,
            Self::Blocked => Reason::WritesBlocked,
        }
    }
}

/// The results of the newest writes, for each hindrance, and what the database reports.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writes {
    outcomes: [Outcome; Hindrance::ALL.len()],
    read_only: bool,
    /// It has been writable since the start.
    was_writable: bool,
    wait_for_locks: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    /// Share of the newest writes that failed for this reason, 0 to 1.
    share: f64,
    high_since: Option<Duration>,
    failed_at: Option<Duration>,
    failing: bool,
}

impl Writes {
    /// `in_use`: connections that the app has in use.
    pub(crate) fn update(&mut self, work: &WorkSample, in_use: u32, now: Duration) {
        let failed = [work.read_only, work.storage_full, work.blocked];
        for (outcome, failed) in self.outcomes.iter_mut().zip(failed) {
            outcome.update(failed, work.written, now);
        }
        self.read_only = work.read_only_mode == Some(true);
        self.was_writable |= work.read_only_mode == Some(false);
        let waiting = work.waiting_for_locks;
        self.wait_for_locks = waiting >= MANY_WAIT || (waiting >= SOME_WAIT && waiting >= in_use.div_ceil(2));
        // The database's own report ends the state at once, before the next write.
        if let (Some(false), [outcome, ..]) = (work.read_only_mode, &mut self.outcomes)
            && work.read_only == 0
        {
            *outcome = Outcome::default();
        }
    }

    /// Whether this hinders writes, and how badly: critical while writes fail. A database that has become read-only is
    /// a warning even before a write fails, and so are statements that wait for locks. A database that was always
    /// read-only may be meant to be.
    pub(crate) fn severity(&self, hindrance: Hindrance) -> Option<Severity> {
        if self.outcomes.get(hindrance as usize).is_some_and(|outcome| outcome.failing) {
            return Some(Severity::Critical);
        }
        match hindrance {
            Hindrance::ReadOnly if self.read_only && self.was_writable => Some(Severity::Warning),
            Hindrance::ReadOnly if self.read_only => Some(Severity::Info),
            Hindrance::Blocked if self.wait_for_locks => Some(Severity::Warning),
            Hindrance::ReadOnly | Hindrance::StorageFull | Hindrance::Blocked => None,
        }
    }

    /// What keeps the database from part of its work, if anything does.
    pub(crate) fn hindrance(&self) -> Option<Hindrance> {
        Hindrance::ALL.into_iter().find(|hindrance| self.severity(*hindrance) > Some(Severity::Info))
    }
}

impl Outcome {
    fn update(&mut self, failed: u64, written: u64, now: Duration) {
        if failed > 0 {
            self.failed_at = Some(now);
        }
        let all = failed as f64 + written as f64;
        if all > 0.0 {
            let weight = 1.0 - (1.0 - NEWEST).powf(all);
            self.share += weight * (failed as f64 / all - self.share);
        }
        if self.failed_at.is_some_and(|at| now.saturating_sub(at) >= FORGOTTEN) {
            *self = Self::default();
        }
        if self.share < ENTER {
            self.high_since = None;
            self.failing &= self.share >= LEAVE;
        } else {
            let since = *self.high_since.get_or_insert(now);
            self.failing |= now.saturating_sub(since) >= LASTING;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ticks of 100 ms with the same work; what is failing after them.
    fn run(writes: &mut Writes, now: &mut u64, ticks: u64, work: WorkSample) -> Vec<Hindrance> {
        for _ in 0..ticks {
            *now += 100;
            writes.update(&work, 4, Duration::from_millis(*now));
        }
        Hindrance::ALL.into_iter().filter(|what| writes.severity(*what) == Some(Severity::Critical)).collect()
    }

    const IDLE: WorkSample = WorkSample {
        written: 0,
        read_only: 0,
        storage_full: 0,
        blocked: 0,
        read_only_mode: None,
        waiting_for_locks: 0,
    };

    #[test]
    fn writes_that_all_fail_are_noticed_after_a_second_and_forgiven_when_writes_succeed() {
        for (work, hindrance) in [
            (WorkSample { read_only: 2, ..IDLE }, Hindrance::ReadOnly),
            (WorkSample { storage_full: 2, ..IDLE }, Hindrance::StorageFull),
            (WorkSample { blocked: 2, ..IDLE }, Hindrance::Blocked),
        ] {
            let (mut writes, mut now) = (Writes::default(), 0);
            assert_eq!(run(&mut writes, &mut now, 10, work), []);
            assert_eq!(run(&mut writes, &mut now, 5, work), [hindrance]);
            assert_eq!(
                run(&mut writes, &mut now, 300, IDLE),
                [hindrance],
                "half a minute without a write says nothing"
            );
            assert_eq!(run(&mut writes, &mut now, 3, WorkSample { written: 2, ..IDLE }), []);
        }
    }

    #[test]
    fn rare_writes_are_enough() {
        let (mut writes, mut now) = (Writes::default(), 0);
        for _ in 0..2 {
            assert_eq!(run(&mut writes, &mut now, 1, WorkSample { blocked: 1, ..IDLE }), []);
            assert_eq!(run(&mut writes, &mut now, 100, IDLE), []);
        }
        run(&mut writes, &mut now, 1, WorkSample { blocked: 1, ..IDLE });
        assert_eq!(run(&mut writes, &mut now, 20, IDLE), [Hindrance::Blocked]);
    }

    #[test]
    fn a_burst_of_failures_and_a_few_among_many_writes_are_no_state() {
        let (mut writes, mut now) = (Writes::default(), 0);
        run(&mut writes, &mut now, 5, WorkSample { blocked: 20, ..IDLE });
        assert_eq!(run(&mut writes, &mut now, 50, WorkSample { written: 20, ..IDLE }), []);
        assert_eq!(run(&mut writes, &mut now, 600, WorkSample { written: 8, blocked: 2, ..IDLE }), []);
    }

    #[test]
    fn a_failure_that_has_not_recurred_for_a_minute_is_forgotten() {
        let (mut writes, mut now) = (Writes::default(), 0);
        run(&mut writes, &mut now, 20, WorkSample { read_only: 1, ..IDLE });
        assert_eq!(run(&mut writes, &mut now, 590, IDLE), [Hindrance::ReadOnly]);
        assert_eq!(run(&mut writes, &mut now, 20, IDLE), []);
    }

    #[test]
    fn a_database_that_says_it_takes_writes_again_is_believed() {
        let (mut writes, mut now) = (Writes::default(), 0);
        run(&mut writes, &mut now, 20, WorkSample { read_only: 1, read_only_mode: Some(true), ..IDLE });
        assert_eq!(writes.severity(Hindrance::ReadOnly), Some(Severity::Critical));
        run(&mut writes, &mut now, 1, WorkSample { read_only_mode: Some(false), ..IDLE });
        assert_eq!(writes.severity(Hindrance::ReadOnly), None);
        run(&mut writes, &mut now, 1, WorkSample { read_only_mode: Some(true), ..IDLE });
        assert_eq!(writes.severity(Hindrance::ReadOnly), Some(Severity::Warning));
        assert_eq!(writes.hindrance(), Some(Hindrance::ReadOnly));
    }

    #[test]
    fn a_database_that_has_always_been_read_only_may_be_meant_so() {
        let (mut writes, mut now) = (Writes::default(), 0);
        run(&mut writes, &mut now, 20, WorkSample { read_only_mode: Some(true), ..IDLE });
        assert_eq!(writes.severity(Hindrance::ReadOnly), Some(Severity::Info));
        assert_eq!(writes.hindrance(), None);
    }

    #[test]
    fn statements_that_wait_for_locks_are_told_when_they_are_many_of_those_that_run() {
        let (mut writes, mut now) = (Writes::default(), 0);
        for (waiting, severity) in [(1, None), (2, Some(Severity::Warning)), (0, None), (5, Some(Severity::Warning))] {
            run(&mut writes, &mut now, 1, WorkSample { waiting_for_locks: waiting, ..IDLE });
            assert_eq!(writes.severity(Hindrance::Blocked), severity, "{waiting} of 4");
        }
        writes.update(&WorkSample { waiting_for_locks: 4, ..IDLE }, 20, Duration::from_millis(now));
        assert_eq!(writes.severity(Hindrance::Blocked), None, "4 of 20");
    }
}
