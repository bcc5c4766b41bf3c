//! Runs the soak test; server and clients are built like the tests.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use crate::project::Project;
use crate::{postgres, server};

/// `cargo xtask soak`.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// Passed on; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds both and passes the arguments on. The exit status says whether the soak passed; it prints its own errors.
pub(crate) fn run(project: &Project, options: &Options) -> Result<ExitCode> {
    let asks = |argument: &String| matches!(argument.as_str(), "--help" | "-h" | "--plan");
    let mut soak = project.cargo();
    soak.args(["run", "--quiet", "--package", "poolgate-soak", "--"]).args(&options.arguments);
    if !options.arguments.iter().any(asks) {
        postgres::find_or_install()?;
        postgres::find_or_install_pooler()?;
        soak.env("TEST_POOLGATE_BIN", server::build(project)?);
    }
    let status = soak.status().context("cannot start cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
