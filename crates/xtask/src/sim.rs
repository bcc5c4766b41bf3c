//! Runs the simulator, built with optimisation because it computes a lot.

use std::env;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use crate::project::Project;

/// `cargo xtask sim`.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// Passed on; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds it and passes the arguments on. Paths are relative to the caller's folder; the simulator prints its own
/// errors.
pub(crate) fn run(project: &Project, options: &Options) -> Result<ExitCode> {
    let mut sim = project.cargo();
    sim.args(["run", "--quiet", "--release", "--package", "poolgate-bench-sim", "--"]).args(&options.arguments);
    let status = sim.current_dir(env::current_dir()?).status().context("cannot start cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
