//! The check of clients that ignore the config: each client may send a limited number of requests a second.

use std::time::Duration;

use super::{
    bucket::Bucket,
    claims::{Claims, Crowd},
    recent::Recent,
};

/// A client may send this multiple of its fair rate.
const ALLOWANCE: f64 = 1.25;
/// Requests that a client may send at once on top. Each further client behind the same caller adds one.
const BURST: f64 = 10.0;
/// The longest time after which a client is told to come back, in seconds: even a rate near zero ends some day.
const LONGEST_DUE: f64 = 3600.0;

/// A token bucket per caller. Remembers at most 10,000 callers and forgets the one that was not seen for longest.
#[derive(Clone, Debug, Default)]
pub struct Quota {
    buckets: Recent<Bucket>,
    claims: Claims,
}

/// A caller sent more than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverQuota {
    /// Time until its next request is due.
    pub due: Duration,
}

/// The judgement of a request that is not rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Whether the caller's allowance covers it.
    pub coverage: Coverage,
    /// Clients that the caller is believed to stand for, at least one.
    pub clients: u32,
}

/// Whether a caller's allowance covers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// It does.
    Covered,
    /// It does not, but the caller is told no rate: the request is admitted after all others.
    Excess,
}

impl Quota {
    /// Judges one request of the caller whose hash is `key`.
    ///
    /// A caller may send 1.25 times the fair rate for each of its clients, and a burst of ten requests, plus one for
    /// each further client. A caller that is told no rate is not rejected; its excess comes after all others. A caller
    /// that sends far more than all the clients that it claims may, counts as `counted` clients for half a minute.
    ///
    /// # Errors
    ///
    /// A caller that is told the rate sends more than that. The request does not count.
    pub fn judge(
        &mut self,
        key: u64,
        fair_rate_per_second: f64,
        crowd: Crowd,
        now: Duration,
    ) -> Result<Judged, OverQuota> {
        let Crowd { counted, claimed, hears } = self.claims.believe(key, fair_rate_per_second, crowd, now);
        let coverage = match self.check(key, fair_rate_per_second, claimed, now) {
            Ok(()) => Coverage::Covered,
            Err(over) if hears => return Err(over),
            Err(_) => Coverage::Excess,
        };
        Ok(Judged { coverage, clients: counted.max(1) })
    }

    /// Counts one request of a caller that stands for `clients` clients.
    fn check(&mut self, key: u64, fair_rate_per_second: f64, clients: u32, now: Duration) -> Result<(), OverQuota> {
        let clients = f64::from(clients.max(1));
        let rate = ALLOWANCE * fair_rate_per_second * clients;
        let burst = BURST + clients - 1.0;
        if !(rate > 0.0 && rate.is_finite()) {
            return Ok(());
        }
        let bucket = self.buckets.get(key).unwrap_or_default();
        let owed = bucket.owed(rate, now);
        if owed > burst {
            let due = ((owed - burst) / rate).min(LONGEST_DUE);
            return Err(OverQuota { due: Duration::try_from_secs_f64(due).unwrap_or_default() });
        }
        self.buckets.set(key, bucket.owing(owed + 1.0, now));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::recent::MAX_KEYS;

    const NOW: Duration = Duration::from_secs(1);

    fn admitted(clients: u32, rate: f64, asked_per_second: u32, seconds: u32) -> usize {
        let mut quota = Quota::default();
        let step = Duration::from_secs(1) / asked_per_second;
        let asked = asked_per_second * seconds;
        (0..asked).filter(|number| quota.check(7, rate, clients, NOW + step * *number).is_ok()).count()
    }

    #[test]
    fn a_client_that_obeys_is_never_turned_away() {
        assert_eq!(admitted(1, 4.0, 4, 100), 400);
    }

    #[test]
    fn a_client_that_does_not_gets_its_allowance_and_a_burst() {
        let got = admitted(1, 4.0, 400, 100);
        assert!((500..=512).contains(&got), "1.25 x 4 x 100 s + 10, got {got}");
    }

    #[test]
    fn several_clients_at_one_address_share_their_allowances() {
        let got = admitted(8, 4.0, 400, 10);
        assert!((400..=419).contains(&got), "got {got}");
    }

    /// Requests covered, in excess, and rejected, if `asked_per_second` come for 100 s at a fair rate of 1.
    fn judged(crowd: Crowd, asked_per_second: u32) -> [u32; 3] {
        let (mut quota, mut judged) = (Quota::default(), [0; 3]);
        let step = Duration::from_secs(1) / asked_per_second;
        for number in 0..100 * asked_per_second {
            match quota.judge(7, 1.0, crowd, NOW + step * number) {
                Ok(Judged { coverage: Coverage::Covered, .. }) => judged[0] += 1,
                Ok(Judged { coverage: Coverage::Excess, .. }) => judged[1] += 1,
                Err(_) => judged[2] += 1,
            }
        }
        judged
    }

    #[test]
    fn a_crowd_that_obeys_is_not_turned_away_however_many_of_it_are_counted() {
        let office = Crowd { counted: 16, claimed: 200, hears: true };
        assert_eq!(judged(office, 200), [20_000, 0, 0]);
    }

    #[test]
    fn claims_buy_nothing_once_more_is_sent_than_all_of_them_may() {
        let attacker = Crowd { counted: 16, claimed: 1000, hears: true };
        let [covered, excess, turned_away] = judged(attacker, 5000);
        assert!(covered < 6000 && excess == 0, "{covered} {excess}");
        assert!(turned_away > 490_000, "{turned_away}");
    }

    #[test]
    fn who_cannot_be_told_is_not_turned_away() {
        let proxy = Crowd { counted: 1, claimed: 0, hears: false };
        let [covered, excess, turned_away] = judged(proxy, 100);
        assert!((125..=140).contains(&covered), "{covered}");
        assert_eq!((covered + excess, turned_away), (10_000, 0));
        let deaf = Crowd { hears: true, ..proxy };
        assert_eq!(judged(deaf, 100)[1], 0);
    }

    #[test]
    fn the_turned_away_learn_when_to_come_back() {
        let mut quota = Quota::default();
        let over = std::iter::repeat_with(|| quota.check(7, 0.8, 1, NOW)).find_map(Result::err).unwrap();
        assert!(over.due > Duration::ZERO && over.due <= Duration::from_secs(1), "{over:?}");
        assert_eq!(quota.check(7, 0.8, 1, NOW + over.due), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_the_regular_ones_stay() {
        let mut quota = Quota::default();
        for number in 0..100_000 {
            assert_eq!(quota.check(number, 1.0, 1, NOW), Ok(()));
            if number < 10 || number % 1000 == 0 {
                // Comes back all the time, and far too often.
                let _ = quota.check(u64::MAX, 1.0, 1, NOW);
            }
        }
        assert!(quota.buckets.len() <= MAX_KEYS, "{}", quota.buckets.len());
        assert!(quota.check(u64::MAX, 1.0, 1, NOW).is_err(), "still remembered");
    }

    #[test]
    fn strange_rates_are_harmless() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE] {
            assert_eq!(Quota::default().check(7, rate, 1, NOW), Ok(()), "{rate}");
        }
    }
}
