//! The gate said `Retry-After`: nothing starts before.

use std::time::Duration;

use poolgate_types::rng::Rng;

use crate::span::scaled;

/// The longest pause, however long the gate asks for: a wrong header must not silence a client.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);
/// What a rejection without `Retry-After` asks for.
const UNSPOKEN: Duration = Duration::from_secs(1);
/// The widest spread of the end; half the pause when that is less.
const WIDEST_SPREAD: Duration = Duration::from_secs(10);

/// Holds back every start of this client until a moment.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    until: Duration,
    /// The epoch of the server that asked for it; `None`: it is not known, or there are several.
    by: Option<u64>,
}

impl Pause {
    /// Pauses for `retry_after` and up to half as long again, so that clients rejected together do not return
    /// together; never longer than a minute, and never shorter than a pause that is on.
    pub(crate) fn extend(&mut self, retry_after: Option<Duration>, by: Option<u64>, now: Duration, rng: &mut Rng) {
        self.by = if self.until <= now || self.by == by { by } else { None };
        let asked = retry_after.unwrap_or(UNSPOKEN).min(LONGEST);
        let spread = (asked / 2).min(WIDEST_SPREAD);
        // Near the cap the spread goes below what was asked for rather than above the cap.
        let length = asked.min(LONGEST - spread) + scaled(spread, rng.unit());
        self.until = self.until.max(now.saturating_add(length));
    }

    /// A pause that was on before; a shorter one does not shorten one that is on.
    pub(crate) fn restore(&mut self, left: Duration, now: Duration) {
        self.until = self.until.max(now.saturating_add(left));
    }

    /// The epoch of the only server that asked for it.
    pub(crate) const fn by(&self) -> Option<u64> {
        self.by
    }

    /// When it ends; in the past when it is over.
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
    fn zero_is_no_pause() {
        let mut pause = Pause::default();
        pause.extend(Some(Duration::ZERO), None, secs(5), &mut Rng::new(1));
        assert_eq!(pause.until(), secs(5));
    }
}
