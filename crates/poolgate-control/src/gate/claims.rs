//! Whether to believe an address that claims to stand for many clients. A claim costs nothing.
//!
//! Clients that obey send little more, all together, than the rate allows them, even while a new rate is on its way to
//! them. An address that sends far more is not what it claims. Then only as many of its clients are believed as count
//! for its share of the permits, until it has kept to its claim for a while, or claims more than twice as many: then
//! others have come.

use std::time::Duration;

use super::{bucket::Bucket, recent::Recent};

/// An address may send this multiple of the fair rate for each client that it claims.
const TOLERANCE: f64 = 1.5;
/// Requests that it may send at once on top: this many, and one for each client, because clients hear of a lower rate
/// with a delay.
const BURST: f64 = 10.0;
/// An address that sent more is not believed for this long.
const DOUBT: Duration = Duration::from_secs(30);

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
    /// Requests beyond the allowance of the claim.
    bucket: Bucket,
    doubted_until: Duration,
    /// The claim that was not believed.
    doubted: u32,
}

impl Claims {
    /// Counts one request. Returns the crowd as far as it is believed.
    pub(super) fn believe(&mut self, key: u64, fair_rate_per_second: f64, crowd: Crowd, now: Duration) -> Crowd {
        let allowed = TOLERANCE * fair_rate_per_second * f64::from(crowd.claimed);
        let counted = crowd.counted.max(1);
        if crowd.claimed <= counted || !(allowed > 0.0 && allowed.is_finite()) {
            return crowd;
        }
        let is_another =
            |known: &Claimant| now < known.doubted_until && crowd.claimed > known.doubted.saturating_mul(2);
        let known = self.claimants.get(key).filter(|known| !is_another(known));
        let Claimant { bucket, mut doubted_until, mut doubted } = known.unwrap_or_default();
        let burst = BURST + f64::from(crowd.claimed);
        let owed = bucket.owed(allowed, now) + 1.0;
        if owed > burst {
            doubted_until = now.saturating_add(DOUBT);
            doubted = crowd.claimed;
        }
        self.claimants.set(key, Claimant { bucket: bucket.owing(owed.min(burst), now), doubted_until, doubted });
        if now < doubted_until { Crowd { claimed: counted, ..crowd } } else { crowd }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFICE: Crowd = Crowd { counted: 16, claimed: 100, hears: true };

    /// Sends for some seconds at a fair rate of 1; how many requests were not believed to come from a crowd.
    fn doubted(claims: &mut Claims, from: u64, seconds: u64, per_second: u64) -> usize {
        let at = |number| Duration::from_secs(from) + Duration::from_secs(1) * number as u32 / per_second as u32;
        let doubts = |number| claims.believe(7, 1.0, OFFICE, at(number)) != OFFICE;
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
        assert_eq!(claims.believe(7, 1.0, more, Duration::from_secs(11)), more);
    }

    #[test]
    fn those_who_count_anyway_are_believed() {
        let few = Crowd { counted: 16, claimed: 16, hears: true };
        let mut claims = Claims::default();
        assert!((0..1000).all(|_| claims.believe(7, 1.0, few, Duration::ZERO) == few));
    }
}
