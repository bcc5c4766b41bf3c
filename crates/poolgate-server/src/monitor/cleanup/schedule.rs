//! Decides when a cleanup may run. Pure: times are durations since an origin of the caller's choice.

use std::{collections::VecDeque, time::Duration};

use poolgate_types::CleanupTrigger;

/// Automatic cleanups stop after this many in a row that freed nothing.
const INEFFECTIVE_RUNS: u32 = 2;
/// The cooldown of automatic cleanups doubles up to this.
const LONGEST_COOLDOWN: Duration = Duration::from_secs(10 * 60);
/// Automatic cleanups within [`LONGEST_COOLDOWN`], at most.
const AUTOMATIC_RUNS: usize = 3;
/// Time after which a request may be repeated while a cleanup is running.
const ONE_AT_A_TIME: Duration = Duration::from_secs(1);
/// Usage in percent below which a pool is calm. It is lower than the usage at which a cleanup is due, so that a pool
/// that swings around that one is not cleaned again and again.
pub(super) const CALM_PERCENT: f64 = 75.0;

/// How far a cleanup may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The safe steps.
    Safe,
    /// The opted-in steps, too.
    OptedIn,
}

impl Reach {
    const ALL: [Self; 2] = [Self::Safe, Self::OptedIn];
}

/// One cleanup at a time, not too often, and no automatic ones while they cannot help.
#[derive(Debug)]
pub(super) struct Schedule {
    manual_cooldown: Duration,
    /// Cooldown after the first automatic cleanup.
    base_cooldown: Duration,
    cooldown: Duration,
    /// The newest requested cleanup for each reach, so that requests without a token do not hold up the admin.
    manual: [Option<Duration>; Reach::ALL.len()],
    /// The newest automatic cleanups, oldest first.
    automatic: VecDeque<Duration>,
    ineffective: u32,
    running: bool,
}

impl Schedule {
    pub(super) fn new(cooldown: Duration, manual_cooldown: Duration) -> Self {
        Self {
            manual_cooldown,
            base_cooldown: cooldown,
            cooldown,
            manual: [None; Reach::ALL.len()],
            automatic: VecDeque::new(),
            ineffective: 0,
            running: false,
        }
    }

    /// Begins a requested cleanup, or returns the time until one may begin.
    pub(super) fn begin_manual(&mut self, reach: Reach, now: Duration) -> Result<(), Duration> {
        if self.running {
            return Err(ONE_AT_A_TIME.min(self.manual_cooldown));
        }
        let [_, opted_in] = &self.manual;
        // The admin's cleanup includes the safe steps.
        let last = match reach {
            Reach::Safe => self.manual.iter().flatten().max().copied(),
            Reach::OptedIn => *opted_in,
        };
        let remaining = last.map_or(Duration::ZERO, |last| (last + self.manual_cooldown).saturating_sub(now));
        if !remaining.is_zero() {
            return Err(remaining);
        }
        self.manual[reach as usize] = Some(now);
        self.running = true;
        Ok(())
    }

    /// Called with every tick, with whether a cleanup is `due` and the pool's usage in percent. `true`: one begins.
    pub(super) fn begin_automatic(&mut self, due: bool, usage_percent: f64, now: Duration) -> bool {
        if usage_percent < CALM_PERCENT {
            self.ineffective = 0;
        }
        let since = |at: Duration| now.saturating_sub(at);
        while self.automatic.front().is_some_and(|first| since(*first) >= LONGEST_COOLDOWN) {
            self.automatic.pop_front();
        }
        let Some(last) = self.automatic.back() else {
            self.cooldown = self.base_cooldown;
            return self.begin_if(due, now);
        };
        let allowed = since(*last) >= self.cooldown && self.automatic.len() < AUTOMATIC_RUNS;
        self.begin_if(due && allowed, now)
    }

    fn begin_if(&mut self, wanted: bool, now: Duration) -> bool {
        let begins = wanted && !self.running && self.ineffective < INEFFECTIVE_RUNS;
        if begins {
            self.automatic.push_back(now);
            self.running = true;
        }
        begins
    }

    /// Notes how many leases the running cleanup freed. `true`: automatic cleanups stop here. It counts as running
    /// until it is [`over`](Self::over).
    pub(super) fn ended(&mut self, trigger: CleanupTrigger, freed: u32) -> bool {
        if freed > 0 {
            (self.ineffective, self.cooldown) = (0, self.base_cooldown);
            return false;
        }
        if trigger != CleanupTrigger::Automatic {
            return false;
        }
        self.ineffective += 1;
        self.cooldown = (self.cooldown * 2).min(LONGEST_COOLDOWN.max(self.base_cooldown));
        self.is_stopped()
    }

    /// Notes that the running cleanup has ended or was cut short.
    pub(super) fn over(&mut self) {
        self.running = false;
    }

    /// Whether automatic cleanups have stopped until the pool is calm, because they freed nothing.
    pub(super) fn is_stopped(&self) -> bool {
        self.ineffective >= INEFFECTIVE_RUNS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn schedule() -> Schedule {
        Schedule::new(MINUTE, Duration::from_secs(10))
    }

    /// Every second of a critically full pool; the seconds in which one begins.
    fn begun(schedule: &mut Schedule, seconds: std::ops::Range<u64>, freed: u32) -> Vec<u64> {
        let run = |second: &u64| {
            let begins = schedule.begin_automatic(true, 95.0, Duration::from_secs(*second));
            if begins {
                schedule.ended(CleanupTrigger::Automatic, freed);
                schedule.over();
            }
            begins
        };
        seconds.filter(run).collect()
    }

    #[test]
    fn two_that_free_nothing_are_the_last_until_the_pool_is_at_ease() {
        let mut schedule = schedule();
        assert_eq!(begun(&mut schedule, 0..3600, 0), [0, 120]);
        assert!(schedule.is_stopped());
        let at = Duration::from_secs;
        assert!(!schedule.begin_automatic(false, 80.0, at(3600)), "below the trigger is not at ease");
        assert_eq!(begun(&mut schedule, 3601..3700, 0), [] as [u64; 0]);
        schedule.begin_automatic(false, 74.0, at(3700));
        assert_eq!(begun(&mut schedule, 3701..3800, 0), [3701]);
    }

    #[test]
    fn the_cooldown_doubles_across_short_calms() {
        let mut schedule = schedule();
        assert_eq!(begun(&mut schedule, 0..130, 0), [0, 120]);
        schedule.begin_automatic(false, 10.0, Duration::from_secs(130));
        assert_eq!(begun(&mut schedule, 131..3600, 0), [360, 840], "after four minutes, then eight");
    }

    #[test]
    fn those_that_help_go_on_but_not_more_than_three_in_ten_minutes() {
        assert_eq!(begun(&mut schedule(), 0..1000, 3), [0, 60, 120, 600, 660, 720]);
    }

    #[test]
    fn one_at_a_time_and_asked_for_ones_keep_their_distance() {
        let at = Duration::from_secs;
        let mut schedule = schedule();
        assert_eq!(schedule.begin_manual(Reach::Safe, at(0)), Ok(()));
        assert!(!schedule.begin_automatic(true, 95.0, at(1)), "one is running");
        assert!(!schedule.ended(CleanupTrigger::Manual, 0));
        assert!(!schedule.begin_automatic(true, 95.0, at(3)), "it is not over yet");
        schedule.over();
        assert_eq!(schedule.begin_manual(Reach::Safe, at(4)), Err(at(6)));
        assert!(schedule.begin_automatic(true, 95.0, at(5)));
        assert_eq!(schedule.begin_manual(Reach::Safe, at(30)), Err(at(1)), "the automatic one is still running");
        schedule.ended(CleanupTrigger::Automatic, 0);
        assert_eq!(schedule.begin_manual(Reach::Safe, at(31)), Err(at(1)), "it is not over yet");
        schedule.over();
        assert_eq!(schedule.begin_manual(Reach::Safe, at(31)), Ok(()));
    }

    #[test]
    fn those_without_a_token_do_not_keep_the_admin_away() {
        let at = Duration::from_secs;
        let mut schedule = schedule();
        let mut begins = |reach, now| {
            let begun = schedule.begin_manual(reach, at(now));
            schedule.over();
            begun
        };
        assert_eq!(begins(Reach::Safe, 0), Ok(()));
        assert_eq!(begins(Reach::OptedIn, 1), Ok(()));
        assert_eq!(begins(Reach::OptedIn, 2), Err(at(9)), "its own distance");
        assert_eq!(begins(Reach::Safe, 10), Err(at(1)), "the admin's has done all of it");
        assert_eq!(begins(Reach::Safe, 11), Ok(()));
        assert_eq!(begins(Reach::OptedIn, 11), Ok(()));
    }
}
