//! What a run comes to.

use std::ops::Range;

use super::{
    fleet::Measured,
    plan::{Pulse, Run},
};
use crate::{
    fairness::{fair_shares, jain, jain_of_chance, min_of_median},
    wire::{Limiter, LoadSecond, Quantiles, Reading, SLOT_MS, ServerFigures, ServerSlot, TabFigures, UserFigures},
};

/// After a pulse, this many seconds in a row must be served as before it for the first of them to count as recovered.
const RECOVERED_SECONDS: usize = 3;
/// As before: this share of what was served each second before the pulse.
const RECOVERED_SHARE: f64 = 0.9;

/// A run whose load generator had to wait for its processor for more than this share of the time says so.
pub(super) const DISTURBED: f64 = 0.05;

/// The figures of one run. Shares are 0 to 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Figures {
    /// Wishes served before their deadline, a second.
    pub(super) goodput: f64,
    /// The same as a share of the peak.
    pub(super) goodput_of_peak: f64,
    /// Wishes a second, as a share of the peak.
    pub(super) offered_of_peak: f64,
    /// Of the wishes whose deadline lay in the window, how many were served.
    pub(super) served_of_wanted: f64,
    /// Of the users who wanted something in the window, how many gave something up.
    pub(super) users_who_gave_up: f64,
    /// Requests that came to the server a second, as a share of the peak.
    pub(super) arrivals_of_peak: f64,
    /// Of those, how many were turned away.
    pub(super) rejected_of_arrivals: f64,
    pub(super) acquire_wait_ms: Quantiles,
    /// Of what was served, from the wish.
    pub(super) latency_ms: Quantiles,
    /// Jain's index over the users who are not rogues, of what each was served / its demand-capped fair share.
    pub(super) jain: f64,
    /// What Jain's index would be if everyone had the same chance and requests were served independently.
    pub(super) jain_of_chance: f64,
    /// The least share / the median share.
    pub(super) min_of_median: f64,
    /// What a rogue was served / what another was served.
    pub(super) rogue_advantage: f64,
    /// What a browser's tab was served / what a native user was served, and how soon.
    pub(super) tab_advantage: f64,
    pub(super) tab_latency_ms: Quantiles,
    /// Coefficient of variation of the goodput, second by second.
    pub(super) variation: f64,
    pub(super) level_changes_per_minute: f64,
    /// Processor time of the server process, in microseconds for each request that arrived.
    pub(super) cpu_us_per_arrival: f64,
    /// Processor time of server and load generator, as shares of one processor.
    pub(super) server_cpu: f64,
    pub(super) load_cpu: f64,
    /// For this share of the time the load generator could have run and its processor did something else.
    pub(super) load_cpu_wait: f64,
    /// Served and turned away by the server, and its processor time, in the window: for the cost of each.
    pub(super) served: f64,
    pub(super) rejected: f64,
    pub(super) server_cpu_seconds: f64,
    /// Clients that the server counted as live at the end.
    pub(super) clients: f64,
    /// A pulse's worst second, as a share of the peak.
    pub(super) worst_second_of_peak: f64,
    /// What users sent from one second after the pulse's begin to its end, at most in a second, as a share of the peak.
    pub(super) most_sent_of_peak: f64,
    /// Seconds after the pulse until things were as before.
    pub(super) recovery_seconds: f64,
    /// Each second of the load.
    pub(super) seconds: Vec<LoadSecond>,
}

impl Figures {
    /// Of a run whose peak was so high, requests a second; without one it is the run's own goodput.
    pub(super) fn of(run: &Run, Measured { load, server, tabs }: &Measured, peak: Option<f64>) -> Self {
        let (from, to) = run.window();
        let length = f64::from(to - from);
        let seconds = &load.seconds;
        let window = seconds.get(from as usize..seconds.len().min(to as usize)).unwrap_or_default();
        let sum = |count: fn(&LoadSecond) -> u32| window.iter().map(count).map(f64::from).sum::<f64>();
        let tab_sum = |count: fn(&TabFigures) -> u32| tabs.iter().map(count).map(f64::from).sum::<f64>();
        let requests = f64::from(run.habits().requests);
        let goodput = requests * (sum(|second| second.served) + tab_sum(|tab| tab.served)) / length;
        let wanted = requests * (sum(|second| second.wanted) + tab_sum(|tab| tab.wanted)) / length;
        let peak = peak.unwrap_or(goodput);

        let start_ms = load.started.since(server.started);
        let span = start_ms + from * 1000..start_ms + to * 1000;
        let seen = slots(server, &span);
        let cpu_seconds = cpu_used(&server.readings, &span);
        // What HAProxy turns away does not come to the server.
        let (arrived, rejected) = match run.contender.limiter {
            Limiter::Haproxy => (sum(|second| second.sent), sum(|second| second.rejected)),
            _ => (f64::from(seen.arrived), f64::from(seen.rejected)),
        };
        let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        let in_tabs =
            tabs.iter().map(|tab| UserFigures { wanted: tab.wanted, served: tab.served, ..Default::default() });
        let obeying: Vec<UserFigures> = load.users.iter().filter(|user| !user.rogue).copied().chain(in_tabs).collect();
        let shares = fair_shares(&obeying);
        let pulse = run.pulse().map(|pulse| Pulsed::of(pulse, seconds, peak)).unwrap_or_default();
        Self {
            goodput,
            goodput_of_peak: share(goodput, peak),
            offered_of_peak: share(wanted, peak),
            served_of_wanted: share(load.served_in_time as f64, load.wanted_in_time as f64),
            arrivals_of_peak: share(arrived / length, peak),
            rejected_of_arrivals: share(rejected, arrived),
            users_who_gave_up: users_who_gave_up(&load.users),
            acquire_wait_ms: acquire_waits(server, &span),
            latency_ms: load.latency_ms,
            jain: jain(&shares),
            jain_of_chance: jain_of_chance(&obeying),
            min_of_median: min_of_median(&shares),
            rogue_advantage: rogue_advantage(&load.users),
            tab_advantage: tab_advantage(tabs, &load.users),
            tab_latency_ms: tab_latency(tabs),
            variation: variation(window),
            level_changes_per_minute: level_changes(&server.readings, &span) * 60.0 / length,
            cpu_us_per_arrival: share(cpu_seconds * 1e6, seen.arrived.into()),
            server_cpu: cpu_seconds / length,
            load_cpu: load.cpu_seconds / length,
            load_cpu_wait: load.cpu_wait_seconds / length,
            served: seen.served.into(),
            rejected: seen.rejected.into(),
            server_cpu_seconds: cpu_seconds,
            clients: readings(&server.readings, &span).last().map_or(0.0, |reading| f64::from(reading.clients)),
            worst_second_of_peak: pulse.worst_second,
            most_sent_of_peak: pulse.most_sent,
            recovery_seconds: pulse.recovery_seconds,
            seconds: seconds.clone(),
        }
    }

    /// One line of progress.
    pub(super) fn in_short(&self) -> String {
        let disturbed =
            if self.load_cpu_wait > DISTURBED { ", DISTURBED by other work on the users' processor" } else { "" };
        format!(
            "{:.0}/s, {:.1} % of peak, arrivals {:.2}x, {:.0} % rejected{disturbed}",
            self.goodput,
            self.goodput_of_peak * 100.0,
            self.arrivals_of_peak,
            self.rejected_of_arrivals * 100.0
        )
    }
}

/// How a pulse was taken.
#[derive(Debug, Default)]
struct Pulsed {
    worst_second: f64,
    most_sent: f64,
    recovery_seconds: f64,
}

impl Pulsed {
    fn of(Pulse { from, to }: Pulse, seconds: &[LoadSecond], peak: f64) -> Self {
        let [from, to] = [from, to].map(|second| second as usize);
        let during = seconds.get(from..to).unwrap_or_default();
        let after = seconds.get(to..).unwrap_or_default();
        let served = |second: &LoadSecond| f64::from(second.served);
        let before = seconds.get(1..from).unwrap_or_default();
        let base = before.iter().map(served).sum::<f64>() / before.len().max(1) as f64;
        let as_before = |second: &LoadSecond| served(second) >= RECOVERED_SHARE * base;
        let recovered = after.windows(RECOVERED_SECONDS).position(|seconds| seconds.iter().all(as_before));
        let sent = during.iter().skip(1).map(|second| f64::from(second.sent));
        Self {
            worst_second: during.iter().map(served).fold(f64::INFINITY, f64::min) / peak,
            most_sent: sent.fold(0.0, f64::max) / peak,
            // Not within the run: at least so long.
            recovery_seconds: recovered.unwrap_or(after.len()) as f64,
        }
    }
}

fn slots(server: &ServerFigures, span: &Range<u32>) -> ServerSlot {
    let mut sum = ServerSlot::default();
    let [first, last] = [span.start, span.end].map(|at| (at / SLOT_MS) as usize);
    for slot in server.slots.iter().take(last).skip(first) {
        sum.arrived += slot.arrived;
        sum.served += slot.served;
        sum.rejected += slot.rejected;
        sum.failed += slot.failed;
        sum.abandoned += slot.abandoned;
    }
    sum
}

fn acquire_waits(server: &ServerFigures, span: &Range<u32>) -> Quantiles {
    let within = server.acquires.iter().filter(|(at, _)| span.contains(at));
    quantiles(within.map(|(_, micros)| f64::from(*micros) / 1000.0).collect())
}

fn tab_latency(tabs: &[TabFigures]) -> Quantiles {
    quantiles(tabs.iter().flat_map(|tab| tab.latencies_ms.iter().copied()).collect())
}

fn quantiles(mut values: Vec<f64>) -> Quantiles {
    values.sort_by(f64::total_cmp);
    let at = |quantile: f64| {
        let rank = (quantile * values.len() as f64).ceil() as usize;
        values.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
    };
    Quantiles { p50: at(0.5), p99: at(0.99) }
}

fn readings<'a>(readings: &'a [Reading], span: &Range<u32>) -> impl Iterator<Item = &'a Reading> + Clone {
    let span = span.clone();
    readings.iter().filter(move |reading| span.contains(&reading.at_ms))
}

/// Between the first and the last reading of the span, stretched to all of it.
fn cpu_used(all: &[Reading], span: &Range<u32>) -> f64 {
    let mut within = readings(all, span);
    match (within.next(), within.last()) {
        (Some(first), Some(last)) if last.at_ms > first.at_ms => {
            let rate = (last.cpu_seconds - first.cpu_seconds) / f64::from(last.at_ms - first.at_ms);
            rate * f64::from(span.end - span.start)
        }
        _ => 0.0,
    }
}

fn level_changes(all: &[Reading], span: &Range<u32>) -> f64 {
    let levels = readings(all, span).map(|reading| reading.level);
    levels.clone().zip(levels.skip(1)).filter(|(before, after)| before != after).count() as f64
}

fn rogue_advantage(users: &[UserFigures]) -> f64 {
    let mean = |rogue: bool| {
        let served: Vec<f64> =
            users.iter().filter(|user| user.rogue == rogue).map(|user| f64::from(user.served)).collect();
        served.iter().sum::<f64>() / served.len().max(1) as f64
    };
    if users.iter().any(|user| user.rogue) && mean(false) > 0.0 { mean(true) / mean(false) } else { 0.0 }
}

fn tab_advantage(tabs: &[TabFigures], native: &[UserFigures]) -> f64 {
    let mean = |served: f64, count: usize| if count > 0 { served / count as f64 } else { 0.0 };
    let of_tabs = mean(tabs.iter().map(|tab| f64::from(tab.served)).sum(), tabs.len());
    let of_native = mean(native.iter().map(|user| f64::from(user.served)).sum(), native.len());
    if of_native > 0.0 { of_tabs / of_native } else { 0.0 }
}

fn users_who_gave_up(users: &[UserFigures]) -> f64 {
    let wanting = users.iter().filter(|user| user.wanted > 0).count();
    let gave_up = users.iter().filter(|user| user.wanted > 0 && user.failed > 0).count();
    gave_up as f64 / wanting.max(1) as f64
}

fn variation(window: &[LoadSecond]) -> f64 {
    let count = window.len() as f64;
    let mean = window.iter().map(|second| f64::from(second.served)).sum::<f64>() / count;
    let squares = window.iter().map(|second| (f64::from(second.served) - mean).powi(2)).sum::<f64>();
    if mean > 0.0 && count > 1.0 { (squares / (count - 1.0)).sqrt() / mean } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(served: &[u32]) -> Vec<LoadSecond> {
        served.iter().map(|served| LoadSecond { served: *served, sent: 2 * served, ..LoadSecond::default() }).collect()
    }

    #[test]
    fn a_user_with_an_error_counts_once() {
        let failed = |wanted, failed| UserFigures { wanted, failed, ..UserFigures::default() };
        assert_eq!(users_who_gave_up(&[failed(3, 2), failed(3, 0), failed(1, 1), failed(2, 0), failed(0, 0)]), 0.5);
        assert_eq!(users_who_gave_up(&[]), 0.0);
    }

    #[test]
    fn a_pulse_is_over_when_things_are_as_before() {
        let load = seconds(&[100, 240, 240, 240, 300, 380, 400, 100, 230, 100, 230, 235, 240, 240]);
        let pulsed = Pulsed::of(Pulse { from: 4, to: 7 }, &load, 400.0);
        assert_eq!((pulsed.worst_second, pulsed.most_sent, pulsed.recovery_seconds), (0.75, 2.0, 3.0));
        let never = Pulsed::of(Pulse { from: 4, to: 7 }, &seconds(&[240, 240, 240, 240, 1, 1, 1, 1, 1]), 400.0);
        assert_eq!(never.recovery_seconds, 2.0);
    }

    #[test]
    fn variation_is_the_deviation_over_the_mean() {
        assert_eq!(variation(&seconds(&[5, 5, 5])), 0.0);
        assert!((variation(&seconds(&[4, 6])) - 2.0_f64.sqrt() / 5.0).abs() < 1e-12);
    }

    #[test]
    fn processor_time_is_stretched_to_the_span() {
        let reading = |at_ms, cpu_seconds, level| Reading { at_ms, cpu_seconds, level, clients: 0 };
        use poolgate_types::Level::{Moderate, Normal};
        let readings = [
            reading(900, 1.0, Normal),
            reading(1_100, 2.0, Normal),
            reading(1_500, 2.2, Moderate),
            reading(1_900, 2.4, Normal),
            reading(2_000, 9.0, Moderate),
        ];
        assert!((cpu_used(&readings, &(1_000..2_000)) - 0.5).abs() < 1e-12);
        assert_eq!(level_changes(&readings, &(1_000..2_000)), 2.0);
    }
}
