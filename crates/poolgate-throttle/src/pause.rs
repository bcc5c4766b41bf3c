//! The pause after a `Retry-After` of the gate: no request starts before it ends.
//!
//! It is as long as the gate asked, times the share of the client's recent answers that were rejections. A client that has had
//! one answer stops for the whole time. A client with forty answers of which one was a rejection has little reason to: ten such
//! clients that all stopped would leave the database idle.

use std::{mem, time::Duration};

use poolgate_types::rng::Rng;

use crate::span::scaled;

/// The longest pause: a wrong header must not silence a client for longer.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);
/// The pause after a rejection without `Retry-After`.
const UNSPOKEN: Duration = Duration::from_secs(1);
/// Maximum spread of the end; at most half the pause.
const WIDEST_SPREAD: Duration = Duration::from_secs(10);
/// Answers count for about this long.
const LATELY: Duration = Duration::from_secs(1);

/// Holds back all starts of this client until a moment.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    until: Duration,
    /// The epoch of the server that asked for the pause; `None`: unknown, or several.
    by: Option<u64>,
    /// Answers and rejections lately, and when they were counted last.
    answers: f64,
    rejections: f64,
    counted_at: Duration,
}

impl Pause {
    /// A request was answered, be it by a rejection.
    pub(crate) fn answered(&mut self, now: Duration) {
        self.forget(now);
        self.answers += 1.0;
    }

    /// Pauses after a rejection for `retry_after` plus up to half of it, so that clients rejected together do not return
    /// together; for a part of it if other requests were answered. A pause never exceeds a minute and never shortens the
    /// current one.
    pub(crate) fn extend(&mut self, retry_after: Option<Duration>, by: Option<u64>, now: Duration, rng: &mut Rng) {
        self.forget(now);
        self.rejections += 1.0;
        self.by = if self.until <= now || self.by == by { by } else { None };
        let asked = retry_after.unwrap_or(UNSPOKEN).min(LONGEST);
        let spread = (asked / 2).min(WIDEST_SPREAD);
        // Near the maximum the spread reduces the pause instead of exceeding the maximum.
        let length = asked.min(LONGEST - spread) + scaled(spread, rng.unit());
        let share = (self.rejections / self.answers.max(self.rejections)).min(1.0);
        self.until = self.until.max(now.saturating_add(scaled(length, share)));
    }

    fn forget(&mut self, now: Duration) {
        let passed = now.saturating_sub(mem::replace(&mut self.counted_at, now));
        // Nearly e^(-passed / LATELY) where answers are close together; the exponential would make the download larger.
        let kept = (1.0 - passed.as_secs_f64() / LATELY.as_secs_f64()).max(0.0);
        self.answers *= kept;
        self.rejections *= kept;
    }

    /// Whether a pause can have been saved with this many seconds left.
    pub(crate) fn can_have_saved(seconds_left: f64) -> bool {
        (0.0..=LONGEST.as_secs_f64()).contains(&seconds_left)
    }

    /// Continues a pause from before a reload; it does not shorten the current one.
    pub(crate) fn restore(&mut self, left: Duration, now: Duration) {
        self.until = self.until.max(now.saturating_add(left));
    }

    /// The epoch of the server that asked for the pause; `None`: unknown, or several.
    pub(crate) const fn by(&self) -> Option<u64> {
        self.by
    }

    /// When the pause ends; in the past if there is none.
    pub(crate) const fn until(&self) -> Duration {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn lasts_as_long_as_asked_and_at_most_half_as_long_again() {
        let mut rng = Rng::new(1);
        let mut ends = Vec::new();
        for _ in 0..100 {
            let mut pause = Pause::default();
            pause.extend(Some(secs(2)), None, secs(100), &mut rng);
            assert!(pause.until() >= secs(102) && pause.until() <= secs(103));
            ends.push(pause.until());
        }
        ends.sort();
        assert!(ends[99] - ends[0] > Duration::from_millis(800), "the ends are spread");
    }

    #[test]
    fn a_shorter_one_does_not_shorten_it() {
        let mut rng = Rng::new(1);
        let mut pause = Pause::default();
        pause.extend(Some(secs(20)), None, secs(0), &mut rng);
        let until = pause.until();
        pause.extend(Some(secs(1)), None, secs(1), &mut rng);
        pause.extend(None, None, secs(2), &mut rng);
        assert_eq!(pause.until(), until);
    }

    #[test]
    fn never_lasts_longer_than_a_minute() {
        let mut rng = Rng::new(1);
        for asked in [secs(59), secs(60), secs(86_400), Duration::MAX] {
            let mut pause = Pause::default();
            pause.extend(Some(asked), None, secs(5), &mut rng);
            assert!(pause.until() >= secs(55) && pause.until() <= secs(65), "{asked:?}: {:?}", pause.until());
        }
    }

    #[test]
    fn a_rejection_among_many_answers_pauses_for_its_share() {
        let mut rng = Rng::new(1);
        let mut pause = Pause::default();
        for _ in 0..40 {
            pause.answered(secs(5));
        }
        pause.extend(Some(secs(2)), None, secs(5), &mut rng);
        let length = pause.until() - secs(5);
        assert!(length >= Duration::from_millis(50) && length <= Duration::from_millis(75), "{length:?}");
        for _ in 0..39 {
            pause.extend(Some(secs(2)), None, secs(5), &mut rng);
        }
        assert!(pause.until() >= secs(7), "all forty were rejections: {:?}", pause.until());
    }

    #[test]
    fn old_answers_do_not_count() {
        let mut pause = Pause::default();
        for _ in 0..40 {
            pause.answered(secs(0));
        }
        pause.answered(secs(20));
        pause.extend(Some(secs(2)), None, secs(20), &mut Rng::new(1));
        assert!(pause.until() >= Duration::from_millis(21_990), "{:?}", pause.until());
    }

    #[test]
    fn zero_is_no_pause() {
        let mut pause = Pause::default();
        pause.extend(Some(Duration::ZERO), None, secs(5), &mut Rng::new(1));
        assert_eq!(pause.until(), secs(5));
    }
}
