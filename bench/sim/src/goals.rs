//! `goals`: measures the promises of the control law.

use std::{fmt::Write, path::PathBuf};

use anyhow::Result;
use clap::Args;
use poolgate_sim::goals::{Goal, Run, Target, Trial, trials};

use crate::{batch, document, statistics::Spread};

#[derive(Args)]
pub(crate) struct Options {
    /// Measure with the seeds 1 to N
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// Leave out trials that take minutes
    #[arg(long)]
    quick: bool,
    /// Only trials whose title contains this
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Also put the table into this document, between its `goals` marks
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
}

/// Prints a row for each promise. Returns whether all are kept.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let trials: Vec<&Trial> =
        trials().filter(|trial| !(options.quick && trial.slow) && trial.title.contains(&options.only)).collect();
    let cases: Vec<(&Trial, u64)> =
        trials.iter().flat_map(|trial| (1..=options.seeds).map(move |seed| (*trial, seed))).collect();
    // Each run is condensed on its own thread: a run of a million clients is large.
    let figures = batch::spread(&cases, batch::cores(), |(trial, seed)| -> Result<Vec<f64>> {
        let run: Run = trial.run(*seed)?;
        Ok(trial.goals.iter().map(|goal| goal.measure(&run)).collect())
    });
    let figures: Vec<Vec<f64>> = figures.into_iter().collect::<Result<_>>()?;
    let mut table = String::from("| promise | goal | median | range | |\n| --- | ---: | ---: | ---: | --- |\n");
    let mut kept = true;
    for (trial, figures) in trials.iter().zip(figures.chunks(options.seeds as usize)) {
        writeln!(table, "| **{}** | | | | |", trial.title)?;
        for (number, goal) in trial.goals.iter().enumerate() {
            let spread = Spread::of(figures.iter().map(|figures| figures[number]));
            let is_met = goal.target.is_met_by(spread.median);
            kept &= is_met;
            writeln!(table, "{}", row(goal, spread, is_met))?;
        }
    }
    println!("{table}");
    if let Some(path) = &options.document {
        document::insert(path, "goals", &table)?;
    }
    Ok(kept)
}

fn row(goal: &Goal, spread: Spread, is_met: bool) -> String {
    let target = match goal.target {
        Target::AtLeast(least) => format!("≥ {least}"),
        Target::AtMost(most) => format!("≤ {most}"),
    };
    let Spread { median, least, most } = spread;
    let word = if is_met { "" } else { "**missed**" };
    format!("| {} | {target} | {median:.3} | {least:.3}–{most:.3} | {word} |", goal.figure)
}
