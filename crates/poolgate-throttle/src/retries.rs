//! Decides whether a failed request may be retried, and after how long.
//!
//! Retries keep an overload alive after its cause is gone. They are therefore limited to a tenth of the app's own
//! requests, and to none while demand exceeds what the server can take. Waits grow with decorrelated jitter (Brooker,
//! "Exponential backoff and jitter", AWS Architecture Blog, 2015), so that clients that failed together do not return
//! together.

use std::time::Duration;

use poolgate_types::rng::Rng;

use crate::span;

/// The shortest wait, and the smallest upper end of the next wait.
const SHORTEST: Duration = Duration::from_millis(100);
/// The longest wait without a `Retry-After`.
const LONGEST: Duration = Duration::from_secs(10);
/// A longer `Retry-After` means no retry: the app gets its error at once instead of much later.
const LONGEST_ASKED: Duration = Duration::from_secs(30);

/// Cost of a retry in tenths. A retry is itself a request and earns a tenth, which must not pay for another retry.
const COST: u32 = 11;
/// Maximum balance: ten retries.
const MOST: u32 = 10 * COST;

/// The retry budget. Each request earns a tenth of a retry. The first retry is lent, because a client with only a few
/// requests would get none; the next requests pay it back.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    tenths: u32,
    lent: u32,
}

/// The state of one request's waits between its attempts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    /// The last wait as drawn, before the server's `Retry-After` is applied; zero before the first retry.
    pub last: Duration,
}

impl RetryBudget {
    pub(crate) const fn new() -> Self {
        Self { tenths: COST, lent: COST - 1 }
    }

    /// A request was submitted.
    pub(crate) fn earn(&mut self) {
        if self.lent > 0 {
            self.lent -= 1;
        } else {
            self.tenths = (self.tenths + 1).min(MOST);
        }
    }

    /// Pays for a retry; `false` if the balance is too low.
    pub(crate) fn spend(&mut self) -> bool {
        let left = self.tenths.checked_sub(COST);
        self.tenths = left.unwrap_or(self.tenths);
        left.is_some()
    }
}

impl Backoff {
    /// The wait before the next attempt, at least the server's `asked`; `None` if that is too long.
    pub(crate) fn next(&mut self, asked: Option<Duration>, rng: &mut Rng) -> Option<Duration> {
        if asked.is_some_and(|asked| asked > LONGEST_ASKED) {
            return None;
        }
        let most = self.last.max(SHORTEST) * 3;
        let seconds = rng.between(SHORTEST.as_secs_f64(), most.as_secs_f64());
        self.last = span::of_seconds(seconds).min(LONGEST);
        let asked = asked.map_or(Duration::ZERO, |asked| span::scaled(asked, rng.between(1.0, 1.5)));
        Some(self.last.max(asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_tenth_of_the_requests_plus_the_lent_one() {
        for requests in [1, 5, 9, 10, 100, 1000] {
            let (mut budget, mut retries) = (RetryBudget::new(), 0);
            for _ in 0..requests {
                budget.earn();
                while budget.spend() {
                    retries += 1;
                    budget.earn();
                }
            }
            assert_eq!(retries, (requests / 10).max(1), "of {requests}");
        }
    }

    #[test]
    fn ten_can_be_saved_up() {
        let mut budget = RetryBudget::new();
        (0..100_000).for_each(|_| budget.earn());
        assert_eq!((0..1000).filter(|_| budget.spend()).count(), 10);
    }

    #[test]
    fn waits_grow_and_are_spread() {
        let mut rng = Rng::new(1);
        let mut waits = vec![Vec::new(); 12];
        for _ in 0..1000 {
            let mut backoff = Backoff::default();
            for waits in &mut waits {
                waits.push(backoff.next(None, &mut rng).unwrap());
            }
        }
        for (attempt, waits) in waits.iter_mut().enumerate() {
            waits.sort();
            assert!(waits[0] >= SHORTEST && waits[999] <= LONGEST, "{attempt}: {waits:?}");
            assert!(waits[900] > waits[100].mul_f64(1.5), "{attempt}: spread");
        }
        assert!(waits[0][999] <= 3 * SHORTEST && waits[6][500] > 2 * waits[0][500]);
    }

    #[test]
    fn retry_after_is_the_minimum_and_spread() {
        let mut rng = Rng::new(1);
        let mut waits = Vec::new();
        for _ in 0..100 {
            waits.push(Backoff::default().next(Some(Duration::from_secs(4)), &mut rng).unwrap());
        }
        waits.sort();
        assert!(waits[0] >= Duration::from_secs(4) && waits[99] <= Duration::from_secs(6));
        assert!(waits[90] - waits[10] > Duration::from_secs(1));
        assert_eq!(Backoff::default().next(Some(Duration::from_secs(31)), &mut rng), None);
        assert_eq!(Backoff::default().next(Some(Duration::MAX), &mut rng), None);
    }
}
