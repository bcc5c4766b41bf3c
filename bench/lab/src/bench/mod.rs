//! Plans the runs, starts the processes of each, measures, writes down.

mod figures;
mod fleet;
mod plan;
mod plots;
mod report;
mod results;
mod tabs;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Args;

use self::{
    figures::Figures,
    fleet::Fleet,
    plan::{Run, Scenario},
    results::Results,
};

/// Options of the measurement.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// One seed and shorter runs: to see that it works, not to quote
    #[arg(long)]
    quick: bool,
    /// Keep the runs that are in the results already, and do the rest
    #[arg(long)]
    resume: bool,
    /// Only runs whose name (`scenario/contender`) contains this; may be given several times
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// How often each run is done, each time with other users and hold times [default: 3, with --quick 1]
    #[arg(long)]
    seeds: Option<u64>,
    /// Instead of all that, one run in which this many of 200 users are tabs of a real browser
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=50))]
    tabs: Option<u32>,
    /// Say what would be done, and how long it would take
    #[arg(long)]
    plan: bool,
    /// Do no run: make tables and plots from the results that are there
    #[arg(long)]
    report: bool,
    /// Where results, tables and plots go
    #[arg(long, value_name = "FOLDER", default_value = "target/bench/overload")]
    out: PathBuf,
    /// Also put the tables into this document, between its `overload` marks, and the plots beside it
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
}

/// Does what the options ask for.
pub(crate) fn run(options: &Options) -> Result<()> {
    let seeds = options.seeds.unwrap_or(if options.quick { 1 } else { 3 });
    let all = match options.tabs {
        Some(tabs) => plan::runs_with_tabs(tabs, seeds, options.quick),
        None => plan::runs(seeds, options.quick),
    };
    let wanted =
        |run: &Run| options.only.is_empty() || options.only.iter().any(|text| run.name().contains(text.as_str()));
    // What a run's figures are compared with is the peak of the same seed.
    let mut runs: Vec<Run> = all.into_iter().filter(|run| run.scenario == Scenario::Peak || wanted(run)).collect();
    let keep = options.resume || options.report;
    let mut results = Results::open(&options.out, keep)?;
    runs.retain(|run| !results.has(run));
    if options.plan || !options.report {
        announce(&runs);
    }
    if options.plan {
        return Ok(());
    }
    if !options.report && !runs.is_empty() {
        measure(&runs, &mut results)?;
    }
    ensure!(!results.rows().is_empty(), "there are no results in {}", options.out.display());
    report::write(&results, &options.out, options.document.as_deref())
}

fn announce(runs: &[Run]) {
    let total: Duration = runs.iter().map(Run::duration).sum();
    eprintln!("{} runs, about {:.0} min", runs.len(), (total.as_secs_f64() / 60.0).ceil());
    for run in runs.iter().filter(|run| run.seed == 1) {
        eprintln!("  {:38} {:3.0} s a seed: {}", run.name(), run.duration().as_secs_f64(), run.describe());
    }
}

fn measure(runs: &[Run], results: &mut Results) -> Result<()> {
    let mut fleet = Fleet::start()?;
    eprintln!("{}", fleet.describe());
    let started = Instant::now();
    for (index, run) in runs.iter().enumerate() {
        let peak = results.peak(run.seed, run.quick);
        let measured = fleet.measure(run, peak).with_context(|| format!("{}, seed {}", run.name(), run.seed))?;
        let figures = Figures::of(run, &measured, peak);
        let left: Duration = runs.iter().skip(index + 1).map(Run::duration).sum();
        eprintln!(
            "[{:3}/{}] {:38} seed {}: {}; {:.0} s so far, about {:.0} s left",
            index + 1,
            runs.len(),
            run.name(),
            run.seed,
            figures.in_short(),
            started.elapsed().as_secs_f64(),
            left.as_secs_f64()
        );
        results.add(run, &figures)?;
    }
    Ok(())
}
