//! The check for those who ignore the config: at most so many requests a second of one client.

use std::time::Duration;

use super::{claims::Claims, recent::Recent};

/// A client may send this share of its fair rate.
const ALLOWANCE: f64 = 1.25;
/// Requests that a client may send at once on top; each further one behind the same caller adds one.
const BURST: f64 = 10.0;

/// A token bucket per client, with the rate as an argument because it is the same for all and changes with every config.
/// What a client owes is counted in requests, not in time: a rate that was very low for a moment must not keep anybody out
/// long after it has risen. At most 10,000 clients are remembered; who was not seen for longest is forgotten.
#[derive(Clone, Debug, Default)]
pub struct Quota {
    buckets: Recent<Bucket>,
    claims: Claims,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// Requests that the client has sent and that its allowance has not covered yet.
    owed: f64,
    at: Duration,
}

/// The client sent too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverQuota {
    /// In how long its next request is due.
    pub due: Duration,
}

/// Who is behind a caller, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crowd {
    /// Clients that its share of the permits is for; 0 counts as 1.
    pub counted: u32,
    /// Clients that say they are there, for which its allowance is as long as they are [believed](Quota::judge); 0 counts
    /// as 1.
    pub claimed: u32,
    /// Somebody behind it hears what may be sent.
    pub hears: bool,
}

/// What a request that is not turned away counts as, and for how many clients its caller stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Whether the caller's allowance covers it.
    pub standing: Standing,
    /// Clients that the caller is believed to be, at least one.
    pub clients: u32,
}

/// What a request is that is not turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Covered by its caller's allowance.
    Covered,
    /// Above it, from a caller who hears no rate: it gets what all others leave.
    Excess,
}

impl Quota {
    /// Judges one request of a caller. Who hears no rate is not turned away: what is above its allowance comes after all
    /// others. A caller that sends far more than all whom it claims may, counts as one client for half a minute.
    ///
    /// # Errors
    ///
    /// Those who hear the rate send more than all of them may. The request does not count.
    pub fn judge(
        &mut self,
        key: u64,
        fair_rate_per_second: f64,
        crowd: Crowd,
        now: Duration,
    ) -> Result<Judged, OverQuota> {
        let Crowd { counted, claimed, hears } = self.claims.believe(key, fair_rate_per_second, crowd, now);
        let standing = match self.check(key, fair_rate_per_second, claimed, now) {
            Ok(()) => Standing::Covered,
            Err(over) if hears => return Err(over),
            Err(_) => Standing::Excess,
        };
        Ok(Judged { standing, clients: counted.max(1) })
    }

    /// Counts one request of the client that the hash `key` stands for against `1.25 · fair_rate · clients` a second and
    /// a burst of ten, and one for each further client.
    ///
    /// # Errors
    ///
    /// The client is above that. The request does not count.
    fn check(&mut self, key: u64, fair_rate_per_second: f64, clients: u32, now: Duration) -> Result<(), OverQuota> {
        let clients = f64::from(clients.max(1));
        let rate = ALLOWANCE * fair_rate_per_second * clients;
        let burst = BURST + clients - 1.0;
        if !(rate > 0.0 && rate.is_finite()) {
            return Ok(());
        }
        let bucket = self.buckets.get(key).unwrap_or(Bucket { owed: 0.0, at: now });
        let covered = rate * now.saturating_sub(bucket.at).as_secs_f64();
        let owed = (bucket.owed - covered).max(0.0);
        if owed > burst {
            // A rate of next to nothing still has an end.
            let due = ((owed - burst) / rate).min(3600.0);
            return Err(OverQuota { due: Duration::try_from_secs_f64(due).unwrap_or_default() });
        }
        self.buckets.set(key, Bucket { owed: owed + 1.0, at: bucket.at.max(now) });
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

    /// Requests covered, in excess, and turned away, of so many a second for 100 s at a fair rate of 1.
    fn judged(crowd: Crowd, asked_per_second: u32) -> [u32; 3] {
        let (mut quota, mut judged) = (Quota::default(), [0; 3]);
        let step = Duration::from_secs(1) / asked_per_second;
        for number in 0..100 * asked_per_second {
            match quota.judge(7, 1.0, crowd, NOW + step * number) {
                Ok(Judged { standing: Standing::Covered, .. }) => judged[0] += 1,
                Ok(Judged { standing: Standing::Excess, .. }) => judged[1] += 1,
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
