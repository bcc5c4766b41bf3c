//! How fairly users were served.

use crate::wire::UserFigures;

/// What each user was served as a share of its fair share: what was served in all is split so that no user gets more than
/// it wanted and those who want more get the same (max-min fairness). Users who wanted nothing are left out.
pub(crate) fn fair_shares(users: &[UserFigures]) -> Vec<f64> {
    let mut wanted: Vec<f64> = users.iter().filter(|user| user.wanted > 0).map(|user| f64::from(user.wanted)).collect();
    wanted.sort_by(f64::total_cmp);
    let mut left: f64 = users.iter().map(|user| f64::from(user.served)).sum();
    let mut cap = 0.0;
    for (index, demand) in wanted.iter().enumerate() {
        let each = left / (wanted.len() - index) as f64;
        cap = each;
        if each < *demand {
            break;
        }
        left -= demand;
        cap = f64::INFINITY;
    }
    let share = |user: &UserFigures| f64::from(user.served) / f64::from(user.wanted).min(cap);
    users.iter().filter(|user| user.wanted > 0).map(share).collect()
}

/// Jain's index of fairness: 1 when all are equal, 1 / n when one has everything.
pub(crate) fn jain(values: &[f64]) -> f64 {
    let sum: f64 = values.iter().sum();
    let squares: f64 = values.iter().map(|value| value * value).sum();
    if squares > 0.0 { sum * sum / (values.len() as f64 * squares) } else { 0.0 }
}

/// Counts of independent events vary by their mean: the index of a perfectly fair system that serves at random.
pub(crate) fn jain_of_chance(users: &[UserFigures]) -> f64 {
    let served: f64 = users.iter().map(|user| f64::from(user.served)).sum();
    let mean = served / users.len().max(1) as f64;
    mean / (mean + 1.0)
}

/// What the worst off was served, as a share of the median.
pub(crate) fn min_of_median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.first(), sorted.get(sorted.len() / 2)) {
        (Some(least), Some(median)) if *median > 0.0 => least / median,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(wanted: u32, served: u32) -> UserFigures {
        UserFigures { wanted, served, ..UserFigures::default() }
    }

    #[test]
    fn a_fair_share_is_capped_by_what_one_wants() {
        // 30 were served; the small one wanted 2 and the others are entitled to 14 each.
        assert_eq!(fair_shares(&[user(2, 2), user(100, 14), user(50, 14)]), [1.0, 1.0, 1.0]);
        assert_eq!(fair_shares(&[user(2, 1), user(100, 21), user(0, 0)]), [0.5, 21.0 / 20.0]);
        assert_eq!(fair_shares(&[user(3, 3), user(5, 5)]), [1.0, 1.0], "everybody got everything");
    }

    #[test]
    fn jain_is_one_when_all_are_equal_and_one_over_n_when_one_has_everything() {
        assert!((jain(&[2.0, 2.0, 2.0]) - 1.0).abs() < 1e-12);
        assert!((jain(&[1.0, 0.0, 0.0, 0.0]) - 0.25).abs() < 1e-12);
        assert_eq!(jain(&[0.0]), 0.0);
        assert!((jain_of_chance(&[user(20, 9), user(20, 9)]) - 0.9).abs() < 1e-12);
    }

    #[test]
    fn the_worst_off_are_compared_with_the_median() {
        assert_eq!(min_of_median(&[1.0, 0.5, 2.0]), 0.5);
        assert_eq!(min_of_median(&[]), 0.0);
    }
}
