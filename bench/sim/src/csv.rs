//! The figures for other programs: a row for each run, and a row for each second of each run.

use std::path::Path;

use ::csv::Writer;
use anyhow::{Context, Result};
use poolgate_sim::{meter::Second, report::Report};
use serde::Serialize;

use crate::{batch, plan::Case};

/// Which run a row belongs to; the first columns of both files.
#[derive(Serialize)]
struct Key<'a>(
    /// Scenario.
    &'a str,
    /// Clients.
    u32,
    /// Highest load, as a multiple of capacity.
    f64,
    /// Scheme.
    &'a str,
    /// Settings.
    &'a str,
    /// Seed.
    u64,
);

const KEY: [&str; 6] = ["scenario", "clients", "load", "scheme", "set", "seed"];

type Figure = (&'static str, fn(&Report) -> f64);

const FIGURES: &[Figure] = &[
    ("goodput_of_peak", |report| report.goodput),
    ("served_of_wished", |report| report.served_share),
    ("arrivals_of_capacity", |report| report.arrivals),
    ("rejected_of_arrivals", |report| report.rejected),
    ("over_quota_of_arrivals", |report| report.over_quota),
    ("wait_p50_seconds", |report| report.wait.0),
    ("wait_p99_seconds", |report| report.wait.1),
    ("latency_p50_seconds", |report| report.latency.0),
    ("latency_p99_seconds", |report| report.latency.1),
    ("jain_index", |report| report.jain),
    ("least_of_median", |report| report.least_to_median),
    ("variation", |report| report.variation),
    ("worst_second_of_peak", |report| report.worst_second),
    ("level_changes_per_minute", |report| report.level_changes),
    ("published_per_second", |report| report.published),
    ("limited_share", |report| report.limited),
];

type Count = (&'static str, fn(&Second) -> u32);

const COUNTS: &[Count] = &[
    ("wished", |second| second.wished),
    ("served", |second| second.served),
    ("late", |second| second.late),
    ("arrived", |second| second.arrived),
    ("rejected", |second| second.rejected),
    ("over_quota", |second| second.over_quota),
    ("refused", |second| second.refused),
    ("published", |second| second.published),
    ("level_changes", |second| second.level_changes),
    ("limited_ticks", |second| second.limited_ticks),
];

/// Writes `summary.csv` and `seconds.csv` into a folder.
pub(crate) fn write(folder: &Path, results: &[batch::Result]) -> Result<()> {
    for (name, write) in [("summary.csv", write_summary as fn(&Path, &_) -> _), ("seconds.csv", write_seconds)] {
        let path = folder.join(name);
        write(&path, results).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}

fn write_summary(path: &Path, results: &[batch::Result]) -> Result<()> {
    let mut file = Writer::from_path(path)?;
    let figures = FIGURES.iter().map(|(name, _)| *name);
    file.write_record(KEY.into_iter().chain(["capacity_per_second", "peak_per_second"]).chain(figures))?;
    for (case, seed, report) in runs(results) {
        let scenario = &case.setup.scenario;
        let setup = [scenario.capacity(), poolgate_sim::peak(scenario)];
        let figures: Vec<f64> = FIGURES.iter().map(|(_, figure)| figure(report)).collect();
        file.serialize((key(case, seed), setup, figures))?;
    }
    Ok(file.flush()?)
}

fn write_seconds(path: &Path, results: &[batch::Result]) -> Result<()> {
    let mut file = Writer::from_path(path)?;
    let counts = COUNTS.iter().map(|(name, _)| *name);
    file.write_record(KEY.into_iter().chain(["second"]).chain(counts).chain(["fair_rate"]))?;
    for (case, seed, report) in runs(results) {
        let seconds = report.meter.seconds.iter().take(case.setup.scenario.seconds as usize);
        for (number, second) in seconds.enumerate() {
            let counts: Vec<u32> = COUNTS.iter().map(|(_, count)| count(second)).collect();
            file.serialize((key(case, seed), number, counts, second.fair_rate))?;
        }
    }
    Ok(file.flush()?)
}

fn runs(results: &[batch::Result]) -> impl Iterator<Item = (&Case, u64, &Report)> {
    results.iter().flat_map(|result| (1..).zip(&result.reports).map(|(seed, report)| (&result.case, seed, report)))
}

fn key(case: &Case, seed: u64) -> Key<'_> {
    let scenario = &case.setup.scenario;
    let contender = &case.contender;
    Key(&case.setup.name, scenario.clients, scenario.peak_load(), contender.name, &contender.set, seed)
}
