//! The check for those who ignore the config: at most so many requests a second of one client.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Clients that are remembered.
const MAX_KEYS: usize = 10_000;
/// A client may send this share of its fair rate.
const ALLOWANCE: f64 = 1.25;
/// Requests that a client may send at once on top.
const BURST: f64 = 10.0;

/// A generic cell rate algorithm per client (ITU-T I.371), with the rate as an argument because it is the same for all
/// and changes with every config.
///
/// Who was not seen for longest is forgotten: entries live in two halves, a new half begins when one is full, and what
/// was not asked for again since then goes with the old one.
#[derive(Debug)]
pub(super) struct Quota {
    hasher: RandomState,
    halves: Mutex<Halves>,
}

/// The client sent too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OverQuota {
    /// When its next request is due.
    pub(super) due: Duration,
}

#[derive(Debug, Default)]
struct Halves {
    new: HashMap<u64, Instant>,
    old: HashMap<u64, Instant>,
}

impl Quota {
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::new(), halves: Mutex::default() }
    }

    /// Counts one request of `client` against `1.25 · fair_rate · clients` a second and a burst of ten.
    pub(super) fn check(
        &self,
        client: impl Hash,
        fair_rate_per_second: f64,
        clients: u32,
        now: Instant,
    ) -> Result<(), OverQuota> {
        let rate = ALLOWANCE * fair_rate_per_second * f64::from(clients.max(1));
        // A rate of next to nothing still has an end.
        let Ok(interval) = Duration::try_from_secs_f64((1.0 / rate).min(3600.0)) else { return Ok(()) };
        // 64 bits of a keyed hash stand for the client: small, and of equal size however long a name is.
        let key = self.hasher.hash_one(client);
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        // The theoretical arrival time: when the client's budget is full again.
        let full_at = halves.get(key).unwrap_or(now).max(now);
        let tolerance = interval.mul_f64(BURST);
        if let Some(due) = full_at.checked_duration_since(now + tolerance).filter(|due| !due.is_zero()) {
            return Err(OverQuota { due });
        }
        halves.insert(key, full_at + interval);
        Ok(())
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let halves = self.halves.lock().expect("not poisoned");
        halves.new.len() + halves.old.len()
    }
}

impl Halves {
    fn get(&mut self, key: u64) -> Option<Instant> {
        if let Some(known) = self.new.get(&key) {
            return Some(*known);
        }
        let known = self.old.remove(&key)?;
        self.insert(key, known);
        Some(known)
    }

    fn insert(&mut self, key: u64, full_at: Instant) {
        if self.new.len() >= MAX_KEYS / 2 && !self.new.contains_key(&key) {
            self.old = std::mem::take(&mut self.new);
        }
        self.new.insert(key, full_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(quota: &Quota, client: &str, clients: u32, rate: f64, asked_per_second: u32, seconds: u32) -> u32 {
        let start = Instant::now();
        let step = Duration::from_secs(1) / asked_per_second;
        let asked = asked_per_second * seconds;
        let passes = |number: u32| quota.check(client, rate, clients, start + step * number).is_ok();
        (0..asked).map(|number| u32::from(passes(number))).sum()
    }

    #[test]
    fn a_client_that_obeys_is_never_turned_away() {
        assert_eq!(admitted(&Quota::new(), "a", 1, 4.0, 4, 100), 400);
    }

    #[test]
    fn a_client_that_does_not_gets_its_allowance_and_a_burst() {
        let got = admitted(&Quota::new(), "a", 1, 4.0, 400, 100);
        assert!((500..=512).contains(&got), "1.25 x 4 x 100 s + 10, got {got}");
    }

    #[test]
    fn several_clients_at_one_address_share_their_allowances() {
        let got = admitted(&Quota::new(), "office", 8, 4.0, 400, 10);
        assert!((400..=412).contains(&got), "got {got}");
    }

    #[test]
    fn the_turned_away_learn_when_to_come_back() {
        let (quota, now) = (Quota::new(), Instant::now());
        let over = std::iter::repeat_with(|| quota.check("a", 0.8, 1, now)).find_map(Result::err).expect("over");
        assert!(over.due > Duration::ZERO && over.due <= Duration::from_secs(1), "{over:?}");
        assert_eq!(quota.check("a", 0.8, 1, now + over.due), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_the_regular_ones_stay() {
        let (quota, now) = (Quota::new(), Instant::now());
        for number in 0..100_000_u32 {
            assert_eq!(quota.check(number, 1.0, 1, now), Ok(()));
            if number < 10 || number % 1000 == 0 {
                // Comes back all the time, and far too often.
                let _ = quota.check("regular", 1.0, 1, now);
            }
        }
        assert!(quota.len() <= MAX_KEYS, "{}", quota.len());
        assert!(quota.check("regular", 1.0, 1, now).is_err(), "still remembered");
    }

    #[test]
    fn strange_rates_are_harmless() {
        let now = Instant::now();
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE] {
            assert_eq!(Quota::new().check("a", rate, 1, now), Ok(()), "{rate}");
        }
    }
}
