//! Whether to believe an address that claims to stand for many clients. A claim costs nothing.
//!
//! Clients that obey send little more, all together, than the rate allows them, even while a new rate is on its way to
//! them. An address that sends far more is not what it claims. Then only as many of its clients are believed as count
//! for its share of the permits, until it has kept to its claim for a while, or claims more than twice as many: then
//! others have come.

use std::time::Duration;

use super::{bucket::Bucket, heard::Rates, lately::Lately, recent::Recent};

/// An address may send this multiple of the fair rate for each client that it claims.
const TOLERANCE: f64 = 1.5;
/// Requests that it may send at once on top: this many, one for each client, and another one for each that has settled. A
/// client that has not sent for a while has saved 1.5 tokens, of which a start costs 0.5 to 1.5; after a pause of the server
/// or the network all do so at once.
const BURST: f64 = 10.0;
/// An address that sent more is not believed for this long.
const DOUBT: Duration = Duration::from_secs(30);
/// A client counts as one that was there before when it has been claimed for this long: longer than a rate counts after it
/// was lowered, so that no client follows a rate from before it came.
const SETTLED: Duration = Duration::from_secs(8);

/// The clients behind a caller, as far as they are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crowd {
    /// Clients that count for its share of the permits; 0 counts as 1.
    pub counted: u32,
    /// Clients that claim to be there. They count for its allowance as long as the claim is
    /// [believed](super::Quota::judge); 0 counts as 1.
    pub claimed: u32,
    /// At least one of them is told the fair rate.
    pub hears: bool,
}

/// What the claims of each address were worth recently.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    claimants: Recent<Claimant>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Claimant {
    claimed: Lately<u32>,
    /// Requests beyond the allowance of the claim.
    bucket: Bucket,
    doubted_until: Duration,
    /// The claim that was not believed.
    doubted: u32,
}

impl Claims {
    /// Counts one request. Returns the crowd as far as it is believed.
    pub(super) fn believe(&mut self, key: u64, rates: Rates, crowd: Crowd, now: Duration) -> Crowd {
        let counted = crowd.counted.max(1);
        if crowd.claimed <= counted {
            return crowd;
        }
        let mut known = self.claimants.get(key).unwrap_or_default();
        let fewest = known.claimed.observe(crowd.claimed, SETTLED, u32::min, now);
        let settled = if fewest.is_whole { fewest.value } else { 0 };
        let allowed = TOLERANCE * may_follow(rates, crowd.claimed, settled);
        if !rates.are_new && allowed > 0.0 && allowed.is_finite() {
            let burst = BURST + f64::from(crowd.claimed) + f64::from(settled);
            known.count(allowed, burst, crowd.claimed, now);
        }
        self.claimants.set(key, known);
        if now < known.doubted_until { Crowd { claimed: counted, ..crowd } } else { crowd }
    }
}

impl Claimant {
    /// Counts one request of `claimed` clients that may send `allowed` a second, and `burst` at once.
    fn count(&mut self, allowed: f64, burst: f64, claimed: u32, now: Duration) {
        let are_others = now < self.doubted_until && claimed > self.doubted.saturating_mul(2);
        if are_others {
            *self = Self { claimed: self.claimed, ..Self::default() };
        }
        let owed = self.bucket.owed(allowed, now) + 1.0;
        if owed > burst {
            (self.doubted_until, self.doubted) = (now.saturating_add(DOUBT), claimed);
        }
        self.bucket = self.bucket.owing(owed.min(burst), now);
    }
}

/// Requests a second of all clients together. One that has just come was told the newest rate; those that have settled
/// may still follow a higher one.
fn may_follow(Rates { newest, highest, .. }: Rates, claimed: u32, settled: u32) -> f64 {
    newest * f64::from(claimed) + (highest - newest) * f64::from(settled)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: Rates = Rates { newest: 1.0, highest: 1.0, are_new: false };
    const OFFICE: Crowd = Crowd { counted: 16, claimed: 100, hears: true };

    /// Sends for some seconds at a fair rate of 1; how many requests were not believed to come from a crowd.
    fn doubted(claims: &mut Claims, from: u64, seconds: u64, per_second: u64) -> usize {
        let at = |number| Duration::from_secs(from) + Duration::from_secs(1) * number as u32 / per_second as u32;
        let doubts = |number| claims.believe(7, RATES, OFFICE, at(number)) != OFFICE;
        (0..seconds * per_second).map(doubts).filter(|doubted| *doubted).count()
    }

    #[test]
    fn a_crowd_that_obeys_is_believed() {
        assert_eq!(doubted(&mut Claims::default(), 1, 100, 125), 0);
    }

    #[test]
    fn so_is_one_that_has_not_heard_of_a_new_rate_yet() {
        assert_eq!(doubted(&mut Claims::default(), 1, 1, 250), 0);
    }

    #[test]
    fn so_is_one_that_sends_all_at_once_what_it_has_saved() {
        let mut claims = Claims::default();
        assert_eq!(doubted(&mut claims, 1, 20, 20), 0);
        for _ in 0..200 {
            assert_eq!(claims.believe(7, RATES, OFFICE, Duration::from_secs(21)), OFFICE);
        }
        assert_eq!(doubted(&mut claims, 21, 100, 100), 0);
    }

    #[test]
    fn a_flood_is_not_until_it_has_kept_to_its_claim_for_a_while() {
        let mut claims = Claims::default();
        assert!(doubted(&mut claims, 1, 10, 1000) > 9_800);
        assert!((2_900..=3_100).contains(&doubted(&mut claims, 11, 60, 100)), "half a minute");
    }

    #[test]
    fn it_is_believed_again_when_others_have_come() {
        let mut claims = Claims::default();
        doubted(&mut claims, 1, 10, 1000);
        let more = Crowd { claimed: 201, ..OFFICE };
        assert_eq!(claims.believe(7, RATES, more, Duration::from_secs(11)), more);
    }

    #[test]
    fn those_who_count_anyway_are_believed() {
        let few = Crowd { counted: 16, claimed: 16, hears: true };
        let mut claims = Claims::default();
        assert!((0..1000).all(|_| claims.believe(7, RATES, few, Duration::ZERO) == few));
    }
}
