//! A run, second by second.

use poolgate_sim::meter::Second;

use crate::{
    batch,
    table::{aligned, plain},
};

const HEADINGS: [&str; 11] = [
    "second",
    "wished",
    "arrived",
    "×capac.",
    "served",
    "% peak",
    "rejected",
    "quota",
    "late",
    "refused",
    "rate/client",
];

/// The run with the first seed.
pub(crate) fn table(result: &batch::Result) -> String {
    let scenario = &result.case.setup.scenario;
    let peak = poolgate_sim::peak(scenario);
    let mut table = plain(HEADINGS.iter().map(|heading| (*heading).to_owned()));
    let seconds = result.reports.iter().take(1).flat_map(|report| &report.meter.seconds);
    for (number, second) in seconds.take(scenario.seconds as usize).enumerate() {
        table.add_row(row(number, second, scenario.capacity(), peak));
    }
    let clients = result.case.setup.clients();
    let (name, load) = (&result.case.setup.name, scenario.peak_load());
    format!("{name}, {}, {clients}, load up to {load}, seed 1\n\n{}\n", result.case.contender.label(), aligned(table))
}

fn row(number: usize, second: &Second, capacity: f64, peak: f64) -> [String; HEADINGS.len()] {
    [
        number.to_string(),
        second.wished.to_string(),
        second.arrived.to_string(),
        format!("{:.2}", f64::from(second.arrived) / capacity),
        second.served.to_string(),
        format!("{:.1}", f64::from(second.served) / peak * 100.0),
        second.rejected.to_string(),
        second.over_quota.to_string(),
        second.late.to_string(),
        second.refused.to_string(),
        second.fair_rate.map_or_else(|| "no limit".to_owned(), |rate| format!("{rate:.3}")),
    ]
}
