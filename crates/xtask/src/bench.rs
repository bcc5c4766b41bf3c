//! Measurements. Each is a program of its own among the tests' packages; here they get what they need and run.

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::postgres;
use crate::process;
use crate::project::Project;
use crate::server;

/// `cargo xtask bench`.
#[derive(Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// Profile `before` with plain clients against the default profile with clients that throttle themselves
    BeforeAfter {
        /// Handed on; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

/// Runs a measurement and prints its table. Server and users are built as the tests build them: the table compares runs
/// of one build.
pub(crate) fn run(project: &Project, options: &Options) -> Result<()> {
    let Bench::BeforeAfter { arguments } = &options.bench;
    postgres::find_or_install()?;
    let server = server::build(project)?;
    let mut bench = project.cargo();
    bench.args(["run", "--quiet", "--package", "poolgate-e2e", "--bin", "before_after", "--"]);
    process::run(bench.args(arguments).env("TEST_POOLGATE_BIN", server))
}
