//! Decides when to serve the newest request first: CoDel's test on the oldest request.
//!
//! A queue that absorbs a burst is soon short again. In a lasting queue, order of arrival makes every request wait
//! almost until its deadline, and starts go to users who are about to give up. So once the oldest request of a class
//! has waited longer than the target for a whole interval, the class serves its newest, and requests that would have
//! been late anyway expire (Maurer, "Fail at scale", ACM Queue 13/8, 2015: adaptive LIFO with controlled delay). The
//! oldest request leaves only by its start or its deadline, so its wait alone tells what CoDel (Nichols and Jacobson,
//! ACM Queue 10/5, 2012) keeps state for. Order of arrival returns when no old request is left.

use std::time::Duration;

use super::Wait;

/// The target: a longer wait counts as overload …
const TARGET: Duration = Duration::from_secs(1);
/// … and so does a longer wait than this part of the request's maximum.
const TARGET_SHARE: u32 = 4;
/// How long the wait must exceed the target.
const INTERVAL: Duration = Duration::from_millis(100);

/// Whether a class with this oldest request is overloaded.
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
    fn extreme_times_do_not_panic() {
        assert!(!is_overloaded(Wait { since: Duration::MAX, deadline: Duration::MAX }, Duration::ZERO));
        assert!(!is_overloaded(Wait { since: Duration::MAX, deadline: Duration::MAX }, Duration::MAX));
        assert!(is_overloaded(Wait { since: Duration::ZERO, deadline: Duration::MAX }, Duration::MAX));
    }
}
