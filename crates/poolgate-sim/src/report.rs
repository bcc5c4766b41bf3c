//! The figures of a run.

use crate::{demand::heavy_clients, meter::Meter, scenario::Scenario};

/// The figures of one run, after its warm-up.
#[derive(Clone, Debug)]
pub struct Report {
    /// Requests answered in time per second, as a share of the peak.
    pub goodput: f64,
    /// The same as a share of the users' wishes.
    pub served_share: f64,
    /// Requests that arrived at the server per second, as a multiple of the database's capacity.
    pub arrivals: f64,
    /// Share of the arrivals that was rejected.
    pub rejected: f64,
    /// Share of the arrivals that was rejected because the client was over its quota.
    pub over_quota: f64,
    /// Wait at the gate, 50th and 99th percentile, in seconds.
    pub wait: (f64, f64),
    /// From wish to answer, 50th and 99th percentile, in seconds.
    pub latency: (f64, f64),
    /// Jain's index of the clients' service relative to their fair shares: 1 is perfectly fair.
    pub jain: f64,
    /// Share of the worst served client relative to the median's.
    pub least_to_median: f64,
    /// Standard deviation of a second's goodput relative to its mean.
    pub variation: f64,
    /// Goodput of the worst second, as a share of the peak.
    pub worst_second: f64,
    /// Changes of the level per minute.
    pub level_changes: f64,
    /// Configs published per second.
    pub published: f64,
    /// Share of the time in which a limit was in force.
    pub limited: f64,
    /// The run, second by second.
    pub meter: Meter,
}

impl Report {
    /// Condenses the counts of a run. `peak`: the best goodput of the same set-up, in requests per second.
    pub fn new(scenario: &Scenario, meter: Meter, peak: f64) -> Self {
        let measured = &meter.seconds[scenario.warm_up_seconds as usize..scenario.seconds as usize];
        let length = measured.len() as f64;
        let sum = |count: fn(&crate::meter::Second) -> u32| measured.iter().map(count).map(f64::from).sum::<f64>();
        let served: Vec<f64> = measured.iter().map(|second| f64::from(second.served)).collect();
        let mean = served.iter().sum::<f64>() / length;
        let deviation = (served.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / length).sqrt();
        let arrived = sum(|second| second.arrived);
        let (jain, least_to_median) = fairness(scenario, &meter);
        Self {
            goodput: mean / peak,
            served_share: ratio(sum(|second| second.served), sum(|second| second.wished)),
            arrivals: arrived / length / scenario.capacity(),
            rejected: ratio(sum(|second| second.rejected), arrived),
            over_quota: ratio(sum(|second| second.over_quota), arrived),
            wait: (percentile(&meter.waits, 0.5), percentile(&meter.waits, 0.99)),
            latency: (percentile(&meter.latencies, 0.5), percentile(&meter.latencies, 0.99)),
            jain,
            least_to_median,
            variation: ratio(deviation, mean),
            worst_second: served.iter().copied().fold(f64::INFINITY, f64::min) / peak,
            level_changes: sum(|second| second.level_changes) / length * 60.0,
            published: sum(|second| second.published) / length,
            limited: sum(|second| second.limited_ticks) / length / 10.0,
            meter,
        }
    }
}

/// Jain's index and least to median of each client's service, relative to its max-min fair share of all service. Clients
/// that obey nothing do not count.
fn fairness(scenario: &Scenario, meter: &Meter) -> (f64, f64) {
    let heavy = heavy_clients(scenario);
    let weights = |client: usize| if client < heavy { scenario.users.heavy_factor } else { 1.0 };
    let counted = |client: usize| (client % 100) as f64 / 100.0 >= scenario.users.rogue_share;
    let clients: Vec<usize> = (0..meter.served.len()).filter(|client| counted(*client)).collect();
    let wished: f64 = clients.iter().map(|client| f64::from(meter.wished[*client])).sum();
    let got: f64 = clients.iter().map(|client| f64::from(meter.served[*client])).sum();
    let weight: f64 = clients.iter().map(|client| weights(*client)).sum();
    let demands: Vec<f64> = clients.iter().map(|client| wished * weights(*client) / weight).collect();
    let level = fair_level(&demands, got);
    let shares = clients.iter().zip(&demands).filter(|(_, demand)| **demand > 0.0);
    let mut shares: Vec<f64> =
        shares.map(|(client, demand)| f64::from(meter.served[*client]) / demand.min(level)).collect();
    shares.sort_by(f64::total_cmp);
    let (sum, squares) = shares.iter().fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x));
    let median = shares.get(shares.len() / 2).copied().unwrap_or_default();
    let least = shares.first().copied().unwrap_or_default();
    (ratio(sum * sum, shares.len() as f64 * squares), ratio(least, median))
}

/// The level at which `sum(min(demand, level))` is the total: water filling.
fn fair_level(demands: &[f64], total: f64) -> f64 {
    let mut sorted = demands.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (mut left, mut count) = (total, sorted.len() as f64);
    for demand in sorted {
        if demand * count >= left {
            return left / count;
        }
        left -= demand;
        count -= 1.0;
    }
    f64::INFINITY
}

fn percentile(values: &[f32], rank: f64) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let mut values = values.to_vec();
    let place = ((values.len() - 1) as f64 * rank).round() as usize;
    f64::from(*values.select_nth_unstable_by(place, f32::total_cmp).1)
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}
