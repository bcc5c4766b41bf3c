//! When to serve the newest first: CoDel's test on the request that has waited longest.
//!
//! A queue that only absorbs a burst is short again soon; in one that lasts, order of arrival means that everybody
//! waits almost as long as he can and starts go to users who are about to give up, or have. So once the oldest of a
//! class has waited longer than a target for a whole interval, the class serves its newest, and those that would have
//! been late in any case expire (Maurer, "Fail at scale", ACM Queue 13/8, 2015: adaptive LIFO with controlled delay).
//! The wait of the oldest ends only by its start or its end, so one request's wait says what CoDel (Nichols and
//! Jacobson, ACM Queue 10/5, 2012) keeps state for. Order of arrival returns when nobody old is left.

use std::time::Duration;

use super::Wait;

/// A wait that is never too long …
const TARGET: Duration = Duration::from_secs(1);
/// … unless it is this part of what the request may wait at most.
const TARGET_SHARE: u32 = 4;
/// How long a wait must stay above the target.
const INTERVAL: Duration = Duration::from_millis(100);

/// Whether a class whose oldest request waits like this is overloaded.
pub(super) fn is_overloaded(oldest: Wait, now: Duration) -> bool {
    let allowed = oldest.deadline.saturating_sub(oldest.since);
    let target = TARGET.min(allowed / TARGET_SHARE);
    now.saturating_sub(oldest.since) >= target.saturating_add(INTERVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_target_is_a_second_or_a_quarter_of_what_a_request_may_wait() {
        for (timeout, limit) in [(10_000, 1100), (4000, 1100), (2000, 600), (400, 200), (100, 125)] {
            let oldest = Wait { since: ms(500), deadline: ms(500 + timeout) };
            assert!(!is_overloaded(oldest, ms(500 + limit - 1)), "{timeout}");
            assert!(is_overloaded(oldest, ms(500 + limit)), "{timeout}");
        }
    }

    #[test]
    fn extreme_times_are_no_problem() {
        assert!(!is_overloaded(Wait { since: Duration::MAX, deadline: Duration::MAX }, Duration::ZERO));
        assert!(!is_overloaded(Wait { since: Duration::MAX, deadline: Duration::MAX }, Duration::MAX));
        assert!(is_overloaded(Wait { since: Duration::ZERO, deadline: Duration::MAX }, Duration::MAX));
    }
}
