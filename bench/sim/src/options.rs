//! The options of `run`, and the plan that they make.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use poolgate_sim::{scenario::Scenario, scenarios};

use crate::{
    batch,
    contender::Contender,
    plan::{Case, Plan},
    setup::Setup,
};

/// `run`.
#[derive(Args)]
pub(crate) struct Options {
    /// Built-in scenarios by name (`list` shows them), or paths of files
    #[arg(required = true, value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// Schemes; may be repeated
    #[arg(long = "scheme", value_name = "NAME", value_delimiter = ',', default_value = "poolgate")]
    schemes: Vec<String>,
    /// Every scheme
    #[arg(long, conflicts_with = "schemes")]
    all_schemes: bool,
    /// Run each with the seeds 1 to N
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    seeds: u64,
    /// Loads, as multiples of capacity, each in place of the scenario's highest; may be repeated
    #[arg(long, value_name = "X", value_delimiter = ',')]
    times: Vec<f64>,
    /// Numbers of clients; may be repeated
    #[arg(long, value_name = "N", value_delimiter = ',')]
    clients: Vec<u32>,
    /// Length of each run
    #[arg(long, value_name = "S")]
    seconds: Option<u32>,
    /// A setting of poolgate's law, such as adaptive.overcommit=1.1; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Also print the first seed's runs second by second
    #[arg(long)]
    pub(crate) each_second: bool,
    /// Write summary.csv (a row for each run) and seconds.csv (one for each of its seconds) into this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) csv: Option<PathBuf>,
    /// Draw the seconds of the first seed's runs and, where there are several loads, goodput and arrivals over load
    #[arg(long, value_name = "DIR")]
    pub(crate) svg: Option<PathBuf>,
    /// Put a table that compares the schemes into this document, between its `sim SCENARIO` marks
    #[arg(long, value_name = "FILE")]
    pub(crate) document: Option<PathBuf>,
    /// Runs at a time; by default one on each core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl Options {
    /// Reads the scenarios and multiplies out what was asked for.
    pub(crate) fn plan(&self) -> Result<Plan> {
        let names = (!self.all_schemes).then_some(self.schemes.as_slice());
        // Before the runs, for they may take long.
        for folder in [&self.csv, &self.svg].into_iter().flatten() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        }
        let contenders = Contender::choose(names, &self.set)?;
        let mut cases = Vec::new();
        let mut names = BTreeSet::new();
        for scenario in &self.scenarios {
            let setups = self.setups(scenario)?;
            let is_new = setups.first().is_none_or(|setup| names.insert(setup.name.clone()));
            ensure!(is_new, "`{scenario}` has the name of another scenario of this command; give each but once");
            for setup in setups {
                let setup = Arc::new(setup);
                let case = |contender: &Contender| Case { setup: Arc::clone(&setup), contender: contender.clone() };
                cases.extend(contenders.iter().map(case));
            }
        }
        Ok(Plan { cases, seeds: self.seeds, threads: self.threads.map_or_else(batch::cores, usize::from) })
    }

    fn setups(&self, name_or_path: &str) -> Result<Vec<Setup>> {
        let base = scenarios::load(name_or_path)?;
        let name = Path::new(name_or_path).file_stem().context("a scenario must have a name")?.to_string_lossy();
        let all_clients = rising(&self.clients, base.clients, u32::cmp);
        let all_times = rising(&self.times, base.peak_load(), f64::total_cmp);
        let mut setups = Vec::new();
        for clients in all_clients {
            for times in &all_times {
                let mut scenario = Scenario { clients, ..base.clone() };
                scenario.seconds = self.seconds.unwrap_or(base.seconds);
                let warm_up = base.warm_up_seconds;
                ensure!(
                    scenario.seconds > warm_up,
                    "{name_or_path} is measured from second {warm_up} on: --seconds must be more"
                );
                let mut setup = Setup { name: name.to_string(), scenario };
                setup.raise_to(*times);
                setup.scenario.check().with_context(|| format!("{name_or_path}, changed by the command line"))?;
                setups.push(setup);
            }
        }
        Ok(setups)
    }
}

/// What was given, each once and rising, or the default.
fn rising<T: Copy + PartialEq>(given: &[T], default: T, order: fn(&T, &T) -> std::cmp::Ordering) -> Vec<T> {
    let mut values = if given.is_empty() { vec![default] } else { given.to_vec() };
    values.sort_by(order);
    values.dedup();
    values
}
