//! The promises of the control law, of a single server and of a cluster, and how each is measured.
//!
//! `cargo xtask sim goals` measures all of them; the tests measure the fast ones with every change.

mod cluster;
mod law;

use crate::{meter::Second, peak, report::Report, run, scenario::Scenario, scenarios, schemes};

/// A set-up and its goals.
#[derive(Debug)]
pub struct Trial {
    /// The set-up, in a few words.
    pub title: &'static str,
    /// Name of the built-in scenario that it starts from.
    pub scenario: &'static str,
    /// What is changed in the scenario.
    change: fn(&mut Scenario),
    /// The goals.
    pub goals: &'static [Goal],
    /// Too slow to run with every change.
    pub slow: bool,
}

/// A figure and its target.
#[derive(Debug)]
pub struct Goal {
    /// The figure, in a few words.
    pub figure: &'static str,
    /// Its target.
    pub target: Target,
    measure: fn(&Run) -> f64,
}

/// The range that a figure must be in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

/// A run of a trial under Poolgate.
#[derive(Debug)]
pub struct Run {
    scenario: Scenario,
    seed: u64,
    report: Report,
}

/// The controller's ticks in a second.
const TICKS_A_SECOND: f64 = 10.0;

/// Every trial, from plain to strange.
pub fn trials() -> impl Iterator<Item = &'static Trial> {
    law::TRIALS.iter().chain(cluster::TRIALS)
}

impl Trial {
    /// Runs it under Poolgate. Equal seeds give equal runs.
    ///
    /// # Errors
    ///
    /// None while the built-in scenarios are valid.
    pub fn run(&self, seed: u64) -> anyhow::Result<Run> {
        let mut scenario = scenarios::load(self.scenario)?;
        (self.change)(&mut scenario);
        let report = run(&scenario, &schemes::Poolgate::default(), seed);
        Ok(Run { scenario, seed, report })
    }
}

impl Goal {
    /// The figure in a run of its trial.
    pub fn measure(&self, run: &Run) -> f64 {
        (self.measure)(run)
    }
}

impl Target {
    /// Whether a figure meets it.
    pub fn is_met_by(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(least) => figure >= least,
            Self::AtMost(most) => figure <= most,
        }
    }
}

impl Run {
    fn seconds(&self, from: usize, to: usize) -> &[Second] {
        &self.report.meter.seconds[from..to]
    }

    /// Requests answered in time per second.
    fn mean(&self, from: usize, to: usize) -> f64 {
        self.seconds(from, to).iter().map(|second| f64::from(second.served)).sum::<f64>() / (to - from) as f64
    }

    fn of_peak(&self, from: usize, to: usize) -> f64 {
        self.mean(from, to) / peak(&self.scenario)
    }

    /// Share of the connections that was idle after the warm-up.
    fn idle(&self) -> f64 {
        self.mean_of_ticks(|second| f64::from(second.idle))
    }

    /// Share of the time after the warm-up in which the gate was narrower than the pool.
    fn narrowed(&self) -> f64 {
        self.mean_of_ticks(|second| f64::from(second.narrowed_ticks))
    }

    fn mean_of_ticks(&self, sum_of: fn(&Second) -> f64) -> f64 {
        let (from, to) = (self.scenario.warm_up_seconds as usize, self.scenario.seconds as usize);
        self.seconds(from, to).iter().map(sum_of).sum::<f64>() / (to - from) as f64 / TICKS_A_SECOND
    }

    fn most_arrivals(&self, from: usize, to: usize) -> f64 {
        let arrivals = self.seconds(from, to).iter().map(|second| f64::from(second.arrived));
        arrivals.fold(0.0, f64::max) / self.scenario.capacity()
    }

    fn limited(&self, from: usize, to: usize) -> f64 {
        let limited = self.seconds(from, to).iter().filter(|second| second.limited_ticks > 0).count();
        limited as f64 / (to - from) as f64
    }

    /// The same users and the same database without any control.
    fn without_control(&self) -> Report {
        run(&self.scenario, &schemes::NoControl, self.seed)
    }
}

const fn trial(title: &'static str, scenario: &'static str, change: fn(&mut Scenario)) -> Trial {
    Trial { title, scenario, change, goals: &[], slow: false }
}

fn unchanged(_: &mut Scenario) {}

const fn at_least(figure: &'static str, least: f64, measure: fn(&Run) -> f64) -> Goal {
    Goal { figure, target: Target::AtLeast(least), measure }
}

const fn at_most(figure: &'static str, most: f64, measure: fn(&Run) -> f64) -> Goal {
    Goal { figure, target: Target::AtMost(most), measure }
}
