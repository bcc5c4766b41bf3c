//! The check of clients that ignore the config: each client may send a limited number of requests a second.

use std::time::Duration;

use super::{
    bucket::Bucket,
    claims::{Claims, Crowd},
    heard::Heard,
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
    heard: Heard,
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
    /// each further client. Of the rates in force, the highest of the last four to eight seconds counts, because a lower
    /// one takes time to reach the clients. A caller that is told no rate is not rejected; its excess comes after all
    /// others. A caller that sends far more than all the clients that it claims may, counts as `counted` clients for
    /// half a minute, and the newest rate counts for it; clients that have just come may not follow a rate from before.
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
        let rates = self.heard.hear(fair_rate_per_second, now);
        let Crowd { counted, claimed, hears } = self.claims.believe(key, rates, crowd, now);
        let is_doubted = claimed < crowd.claimed;
        let rate = if is_doubted { rates.newest } else { rates.highest };
        let coverage = match self.check(key, rate, claimed, now) {
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
    fn a_crowd_is_believed_that_hears_late_of_a_much_lower_rate() {
        let office = Crowd { counted: 16, claimed: 200, hears: true };
        let (mut quota, mut now) = (Quota::default(), NOW);
        for (rate, sent_per_second, seconds) in [(0.6, 120, 60), (0.1, 120, 4)] {
            for _ in 0..sent_per_second * seconds {
                now += Duration::from_secs(1) / sent_per_second;
                assert!(quota.judge(7, rate, office, now).is_ok(), "{now:?}");
            }
        }
        for _ in 0..1200 {
            now += Duration::from_millis(50);
            assert!(quota.judge(7, 0.1, office, now).is_ok(), "{now:?}");
        }
    }

    #[test]
    fn streams_that_have_just_come_do_not_profit_from_the_rate_before_them() {
        let (mut quota, mut now) = (Quota::default(), NOW);
        for _ in 0..60 {
            now += Duration::from_secs(1);
            assert!(quota.judge(1, 1.3, Crowd { counted: 1, claimed: 1, hears: true }, now).is_ok());
        }
        let flood = Crowd { counted: 16, claimed: 500, hears: true };
        let mut passed = 0;
        for number in 0..12 * 300 {
            now += Duration::from_secs(1) / 300;
            let rate = if number < 300 { 1.3 } else { 0.2 };
            passed += u32::from(quota.judge(7, rate, flood, now).is_ok());
        }
        assert!((1000..1800).contains(&passed), "{passed} of 3600");
    }

    #[test]
    fn a_crowd_is_believed_that_has_not_heard_of_the_limit() {
        let office = Crowd { counted: 16, claimed: 200, hears: true };
        let mut quota = Quota::default();
        let mut judged = |number: u32, per_second: u32, from: u64| {
            quota.judge(7, 0.6, office, NOW + Duration::from_secs(from) + Duration::from_secs(1) / per_second * number)
        };
        (0..1600).for_each(|number| _ = judged(number, 400, 0));
        let turned_away = (0..6000).filter(|number| judged(*number, 120, 4).is_err()).count();
        assert!(turned_away < 120, "for less than a second after it has heard: {turned_away}");
    }

    #[test]
    fn claims_buy_nothing_once_more_is_sent_than_all_of_them_may() {
        let attacker = Crowd { counted: 16, claimed: 1000, hears: true };
        let [covered, excess, turned_away] = judged(attacker, 5000);
        assert!(covered < 12_600 && excess == 0, "{covered} {excess}");
        assert!(turned_away > 487_000, "{turned_away}");
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
