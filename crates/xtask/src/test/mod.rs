//! Runs all tests, step by step, and counts them.
//!
//! A step's output goes to a file and is shown if the step fails; later steps still run. A step that is one command
//! counts as one test; a step with a test runner counts that runner's tests. Tests that failed have a second try.

mod binaries;
mod count;
mod purity;
mod second_try;
mod setting;
mod steps;
mod transcript;

use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use crate::project::Project;
use crate::step::Took;
use count::Count;
use setting::Setting;
use steps::{EXAMPLES, STEPS, Step};
use transcript::Transcript;

/// `cargo xtask test`.
#[derive(Args)]
pub(crate) struct Options {
    /// Skip the slow steps: everything in a browser, the release page, packaging, the documentation
    #[arg(long)]
    quick: bool,
    /// Run only the steps whose name contains this; may be repeated
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
}

/// Runs the steps; succeeds if no test failed.
pub(crate) fn run(project: &Project, options: &Options) -> Result<ExitCode> {
    let start = Instant::now();
    let reports = project.reports().join("test");
    if reports.exists() {
        fs::remove_dir_all(&reports)?;
    }
    fs::create_dir_all(&reports)?;
    let asked_for = options.only.iter().any(|name| EXAMPLES.name.contains(name.as_str())).then_some(&EXAMPLES);
    let chosen: Vec<&Step> = STEPS.iter().filter(|step| options.wants(step)).chain(asked_for).collect();
    let setting = Setting::new(project);
    let mut total = Count::default();
    let mut times = Vec::new();
    let (mut failed, mut recovered) = (Vec::new(), Vec::new());
    let mut left_out = Vec::new();
    for (index, step) in chosen.iter().enumerate() {
        println!("[{}/{}] {} …", index + 1, chosen.len(), step.name);
        let step_start = Instant::now();
        let mut transcript = Transcript::new(&reports, index + 1, step.name, step.counts)?;
        let result = (step.work)(&setting, &mut transcript);
        let outcome = transcript.outcome(result)?;
        let took = step_start.elapsed();
        println!("      {outcome} ({})", Took(took));
        if outcome.count.failed > 0 {
            println!("{}", transcript.excerpt()?);
        }
        total += outcome.count;
        failed.extend(outcome.failed.iter().map(|name| format!("{}: {name}", step.name)));
        recovered.extend(outcome.recovered.iter().map(|name| format!("{}: {name}", step.name)));
        times.push((step.name, outcome.to_string(), took));
        if let Some(reason) = outcome.skipped {
            left_out.push(format!("{} ({reason})", step.name));
        }
    }
    summarize(&times, start.elapsed());
    let not_chosen = STEPS.iter().filter(|step| !options.wants(step));
    left_out.extend(not_chosen.map(|step| step.name.to_owned()));
    if asked_for.is_none() {
        left_out.push(format!("{} (`--only {0}` runs it)", EXAMPLES.name));
    }
    if !left_out.is_empty() {
        println!("Left out: {}.", left_out.join("; "));
    }
    for name in recovered {
        println!("Passed at the second try only, {name}");
    }
    for name in failed {
        println!("Failed, {name}");
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    Ok(if total.failed == 0 && total.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Options {
    fn wants(&self, step: &Step) -> bool {
        let named = self.only.is_empty() || self.only.iter().any(|name| step.name.contains(name.as_str()));
        named && !(self.quick && step.slow)
    }
}

fn summarize(times: &[(&str, String, Duration)], total: Duration) {
    println!();
    for (name, outcome, took) in times {
        println!("{name:34} {:>12}  {outcome}", Took(*took).to_string());
    }
    println!("All steps together took {}.", Took(total));
}
