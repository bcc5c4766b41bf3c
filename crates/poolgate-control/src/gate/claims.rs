//! Whether an address is believed when it says that many clients are there. Saying so costs nothing.
//!
//! Clients that obey send, all together, hardly more than the rate allows them, even while a new rate is on its way to
//! them. An address that sends far more is not what it says. No more of its clients are believed than count for its share
//! of the permits, until it has kept to its own claim for a while or claims twice as many: then others have come.

use std::time::Duration;

use super::{Crowd, recent::Recent};

/// An address may send this many times the fair rate for each client that it claims.
const TOLERANCE: f64 = 1.5;
/// Requests that it may send at once on top: this many, and one for each client. A rate that falls is heard a moment later.
const BURST: f64 = 10.0;
/// How long an address that sent more is not believed.
const DOUBT: Duration = Duration::from_secs(30);

/// What the claims of each address were worth lately.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    senders: Recent<Sender>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sender {
    /// Requests beyond the claim's allowance.
    owed: f64,
    at: Duration,
    doubted_until: Duration,
    /// The claim that was not believed.
    doubted: u32,
}

impl Claims {
    /// Counts one request. The crowd as it is believed to be.
    pub(super) fn believe(&mut self, key: u64, fair_rate_per_second: f64, crowd: Crowd, now: Duration) -> Crowd {
        let allowed = TOLERANCE * fair_rate_per_second * f64::from(crowd.claimed);
        let counted = crowd.counted.max(1);
        if crowd.claimed <= counted || !(allowed > 0.0 && allowed.is_finite()) {
            return crowd;
        }
        let unknown = Sender { at: now, ..Sender::default() };
        let is_another = |known: &Sender| now < known.doubted_until && crowd.claimed > known.doubted.saturating_mul(2);
        let known = self.senders.get(key).filter(|known| !is_another(known));
        let Sender { owed, at, mut doubted_until, mut doubted } = known.unwrap_or(unknown);
        let burst = BURST + f64::from(crowd.claimed);
        let owed = (owed - allowed * now.saturating_sub(at).as_secs_f64()).max(0.0) + 1.0;
        if owed > burst {
            doubted_until = now.saturating_add(DOUBT);
            doubted = crowd.claimed;
        }
        self.senders.set(key, Sender { owed: owed.min(burst), at: at.max(now), doubted_until, doubted });
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
