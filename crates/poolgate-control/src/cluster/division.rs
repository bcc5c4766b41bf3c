//! Divides connections: max-min fairness by what each replica could use.

use std::collections::BTreeMap;

use super::row::ReplicaId;

/// The fair shares of `pot`: all get the same, except that none gets more than it wants. What is left after that, less
/// than one for each, goes to the lowest ids. Everybody gets at least one, even if the pot is too small.
pub(super) fn fair_shares(pot: u32, wants: &BTreeMap<ReplicaId, u32>) -> BTreeMap<ReplicaId, u32> {
    let total = |level: u32| wants.values().map(|want| u64::from((*want).clamp(1, level.max(1)))).sum::<u64>();
    // The highest level that the pot is enough for, by bisection: below `enough` it is, from `too_much` on it is not.
    let (mut enough, mut too_much) = (1, pot.saturating_add(1).max(2));
    while too_much - enough > 1 {
        let level = enough.midpoint(too_much);
        if total(level) <= u64::from(pot) { enough = level } else { too_much = level }
    }
    let mut left = u64::from(pot).saturating_sub(total(enough));
    let mut share = |want: u32| {
        let extra = u32::from(left > 0 && want > enough);
        left -= u64::from(extra);
        want.clamp(1, enough) + extra
    };
    wants.iter().map(|(id, want)| (*id, share(*want))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(pot: u32, wants: &[u32]) -> Vec<u32> {
        let wants = (0..).map(ReplicaId).zip(wants.iter().copied()).collect();
        fair_shares(pot, &wants).into_values().collect()
    }

    #[test]
    fn equal_wants_get_equal_shares_and_the_remainder_goes_to_the_first() {
        assert_eq!(shares(96, &[100; 4]), [24; 4]);
        assert_eq!(shares(98, &[100; 4]), [25, 25, 24, 24]);
    }

    #[test]
    fn what_one_does_not_want_goes_to_the_others() {
        assert_eq!(shares(96, &[100, 6, 100, 100]), [30, 6, 30, 30]);
        assert_eq!(shares(96, &[10, 10, 10]), [10, 10, 10]);
        assert_eq!(shares(11, &[100, 1, 100, 4]), [4, 1, 3, 3]);
    }

    #[test]
    fn everybody_gets_one() {
        assert_eq!(shares(10, &[0, 100]), [1, 9]);
        assert_eq!(shares(1, &[5, 5, 5]), [1, 1, 1]);
        assert_eq!(shares(0, &[]), [0; 0]);
    }

    #[test]
    fn no_division_exceeds_a_sufficient_pot_or_wastes_it() {
        for pot in 6..40 {
            for seed in 0..200_u32 {
                let wants: Vec<u32> =
                    (0..6).map(|n| seed.wrapping_mul(2_654_435_761).rotate_left(n * 5) % 12).collect();
                let shares = shares(pot, &wants);
                let wanted: u32 = wants.iter().map(|want| (*want).max(1)).sum();
                assert_eq!(shares.iter().sum::<u32>(), pot.min(wanted), "{pot} {wants:?} {shares:?}");
                for (share, want) in shares.iter().zip(&wants) {
                    assert!(share <= &(*want).max(1), "{pot} {wants:?} {shares:?}");
                }
            }
        }
    }
}
