//! What a trial comes to.

use super::{trial::Happened, watch::Seen};
use crate::{
    fairness::{fair_shares, jain},
    wire::{LoadFigures, LoadSecond, Moment},
};

/// Seconds over which goodput is averaged while something happens.
const AVERAGED: usize = 5;
/// The first seconds, in which the rate settles, are not what was served before something happened.
const SETTLED: usize = 8;
/// As before: this share of what was served before.
const BACK: f64 = 0.95;
/// The last seconds of a load show whether all is as before.
const LAST: usize = 10;

pub(super) const HEADS: [&str; 12] = [
    "",
    "Goodput, % of peak",
    "before",
    "in the worst 5 s",
    "back after, s",
    "in the last 10 s",
    "Arrivals, x peak",
    "Rejected, % of arrivals",
    "429",
    "Other failures",
    "Jain",
    "Most connections",
];

/// The figures of one trial. Shares are 0 to 1.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    goodput: f64,
    last: f64,
    arrivals: f64,
    rejected: f64,
    over_quota: u32,
    /// Errors other than rejections, and requests without an answer in time.
    failures: u32,
    jain: f64,
    fault: Option<Fault>,
    seen: Seen,
}

/// Around what happened.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Fault {
    before: f64,
    worst: f64,
    /// Seconds from its end until goodput was as before; `None` if it never was.
    back_after: Option<u32>,
}

impl Figures {
    pub(super) fn of(
        load: &LoadFigures,
        (from, to): (u32, u32),
        peak: f64,
        happened: Option<Happened>,
        seen: Seen,
    ) -> Self {
        let sum = |count: fn(&LoadSecond) -> u32| load.sum((from, to), count);
        let seconds = f64::from(to - from);
        let served: Vec<u32> = load.seconds.iter().take(to as usize).map(|second| second.served).collect();
        let last = served.get(served.len().saturating_sub(LAST)..).unwrap_or_default();
        let second_of = |moment: Moment| (moment.since(load.started) / 1000) as usize;
        Self {
            goodput: f64::from(sum(|second| second.served)) / seconds / peak,
            last: mean(last) / peak,
            arrivals: f64::from(sum(|second| second.sent)) / seconds / peak,
            rejected: f64::from(sum(|second| second.rejected)) / f64::from(sum(|second| second.sent).max(1)),
            over_quota: sum(|second| second.over_quota),
            failures: sum(|second| second.errors + second.unanswered),
            jain: jain(&fair_shares(&load.users)),
            fault: happened.map(|at| Fault::of(&served, second_of(at.begun), second_of(at.ended), peak)),
            seen,
        }
    }

    pub(super) fn row(&self, name: &str) -> Vec<String> {
        let percent = |share: f64| format!("{:.1}", 100.0 * share);
        let of_fault =
            |figure: fn(&Fault) -> f64| self.fault.as_ref().map_or(String::new(), |fault| percent(figure(fault)));
        let back_after = self.fault.map_or(String::new(), |fault| {
            fault.back_after.map_or("not yet".to_owned(), |seconds| seconds.to_string())
        });
        vec![
            format!("{name} ({} changes of level)", self.seen.level_changes),
            percent(self.goodput),
            of_fault(|fault| fault.before),
            of_fault(|fault| fault.worst),
            back_after,
            percent(self.last),
            format!("{:.2}", self.arrivals),
            percent(self.rejected),
            self.over_quota.to_string(),
            self.failures.to_string(),
            format!("{:.3}", self.jain),
            self.seen.most_connections.to_string(),
        ]
    }
}

impl Fault {
    /// Of what was served in each second, with the seconds in which something began and ended.
    fn of(served: &[u32], begun: usize, ended: usize, peak: f64) -> Self {
        let before = mean(served.get(SETTLED..begun).unwrap_or_default());
        let averages = |from: usize| served.get(from..).unwrap_or_default().windows(AVERAGED).map(mean);
        let back_after = averages(ended).position(|average| average >= BACK * before);
        Self {
            before: before / peak,
            worst: averages(begun).fold(f64::INFINITY, f64::min) / peak,
            back_after: back_after.and_then(|seconds| u32::try_from(seconds).ok()),
        }
    }
}

fn mean(values: &[u32]) -> f64 {
    values.iter().copied().map(f64::from).sum::<f64>() / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_measured_from_what_was_before() {
        let mut served = vec![100; 40];
        served[10..20].fill(50);
        let fault = Fault::of(&served, 10, 20, 200.0);
        assert_eq!(fault, Fault { before: 0.5, worst: 0.25, back_after: Some(0) });
        served[20..].fill(80);
        assert_eq!(Fault::of(&served, 10, 20, 200.0).back_after, None);
        served[23..].fill(100);
        assert_eq!(Fault::of(&served, 10, 20, 200.0).back_after, Some(2));
    }
}
