//! The project's commands: `cargo xtask` lists them.
//!
//! This program is not shipped. It finds or installs tools, builds the npm package, starts the demo and runs all tests.
//! Each command has one file. They share `project` (paths and cargo), `process` (child processes), `step` (progress)
//! and the modules that find tools (`tools`, `node`, `chromium`, `postgres`, which use `apt` where it exists).

mod apt;
mod bench;
mod chromium;
mod client_package;
mod contract;
mod deb;
mod demo;
mod dev;
mod example;
mod fuzz;
mod http;
mod instructions;
mod nats;
mod node;
mod openapi;
mod operations;
mod package;
mod page;
mod postgres;
mod process;
mod project;
mod proxies;
mod server;
mod setup;
mod sim;
mod soak;
mod step;
mod test;
mod tools;

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};

use project::Project;

/// The project's commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Install everything that the other commands need, once per machine
    Setup,
    /// Build and start Poolgate with its page, on real data in an embedded SQLite (needs only Rust)
    Demo(demo::Options),
    /// Run all tests; ends with `N passed, N failed`
    Test(test::Options),
    /// Build the npm package into www/pkg; with --release also the hashed, minified page in www/dist
    Page(page::Options),
    /// Pack @poolgate/client for npm; the last line is the tarball's path
    Package,
    /// Pack the program for Debian and its kin; the last line is the package's path
    Deb,
    /// Measure: `overload` compares Poolgate with its rivals; also `before-after`, `pool`, `client` and single parts
    Bench(bench::Options),
    /// Simulate overload in virtual time: `run SCENARIO`; `list` shows scenarios and schemes
    Sim(sim::Options),
    /// Run the program under faults with honest, slow and hostile clients: `--minutes 30 --seed 1`; see `--help`
    Soak(soak::Options),
    /// Test with generated input: schemathesis on the demo, then each target in fuzz/
    Fuzz(fuzz::Options),
    /// Write docs/openapi.json from the running server
    Openapi,
    /// Write the contract for JavaScript (codes, paths, times, wire types) from the Rust types
    Contract,
    /// Serve the page with reload on change (Trunk); needs a running demo
    Dev,
    /// Build an example of a front end, and start the demo with it: `leptos-shop`
    Example(example::Options),
    /// Wait for the demo and open the browser
    #[command(hide = true)]
    OpenBrowser(demo::OpenBrowser),
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    let Some(command) = cli.command else {
        Cli::command().print_help()?;
        return Ok(ExitCode::SUCCESS);
    };
    let project = Project::find()?;
    match command {
        Command::Setup => setup::run(&project)?,
        Command::Demo(options) => return demo::run(&project, &options),
        Command::Test(options) => return test::run(&project, &options),
        Command::Page(options) => page::run(&project, &options)?,
        Command::Package => package::run(&project)?,
        Command::Deb => deb::run(&project)?,
        Command::Bench(options) => bench::run(&project, &options)?,
        Command::Sim(options) => return sim::run(&project, &options),
        Command::Soak(options) => return soak::run(&project, &options),
        Command::Fuzz(options) => fuzz::fuzz(&project, &options)?,
        Command::Openapi => openapi::run(&project)?,
        Command::Contract => contract::run(&project)?,
        Command::Dev => dev::run(&project)?,
        Command::Example(options) => return example::run(&project, &options),
        Command::OpenBrowser(options) => options.run()?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_and_their_options_fit_together() {
        Cli::command().debug_assert();
    }
}
