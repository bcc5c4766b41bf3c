//! The rate that clients may have heard last. A lower rate takes time to reach them, and until then they obey the one
//! before.

use std::time::Duration;

use super::lately::Lately;

/// Clients that hear late have heard after this time: the law waits as long for the answer to a new rate.
const LATEST: Duration = Duration::from_secs(4);
/// A limit is new for this long: until then it is not known which clients were there before it.
const NEW: Duration = Duration::from_secs(8);

/// The rates in force in the last four to eight seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heard {
    rates: Lately<f64>,
    limited_since: Duration,
    seen_at: Option<Duration>,
}

/// What obedient clients may follow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rates {
    /// The rate in force.
    pub(super) newest: f64,
    /// The highest one that a client may have heard last.
    pub(super) highest: f64,
    /// Clients may not have heard yet that there is a limit.
    pub(super) are_new: bool,
}

impl Heard {
    /// Takes in the rate in force.
    pub(super) fn hear(&mut self, rate: f64, now: Duration) -> Rates {
        if self.seen_at.is_none_or(|seen_at| now.saturating_sub(seen_at) >= LATEST) {
            self.limited_since = now;
        }
        self.seen_at = Some(now);
        let highest = self.rates.observe(rate, LATEST, f64::max, now).value;
        Rates { newest: rate, highest, are_new: now.saturating_sub(self.limited_since) < NEW }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_lower_rate_counts_when_all_have_heard_of_it_and_a_higher_one_at_once() {
        let mut heard = Heard::default();
        for tick in 0..100 {
            assert_eq!(heard.hear(4.0, at(100 * tick)).highest, 4.0);
        }
        let lowered = (100..200).find(|tick| heard.hear(1.0, at(100 * tick)).highest == 1.0).unwrap();
        assert!((140..=180).contains(&lowered), "{lowered}");
        assert_eq!(heard.hear(2.0, at(20_000)).highest, 2.0);
    }

    #[test]
    fn a_limit_is_new_for_a_while_and_again_after_a_time_without_one() {
        let mut heard = Heard::default();
        let mut is_new = |millis| heard.hear(1.0, at(millis)).are_new;
        assert_eq!([60_000, 63_000, 66_000, 67_900].map(&mut is_new), [true; 4]);
        assert_eq!([68_000, 71_000, 74_000].map(&mut is_new), [false; 3]);
        assert!(is_new(78_000), "after a time without a limit");
    }
}
