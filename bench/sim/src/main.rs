//! `cargo xtask sim`: runs scenarios of the simulator under Poolgate and its rivals; prints, writes and draws the results.

mod batch;
mod contender;
mod csv;
mod document;
mod goals;
mod law;
mod options;
mod plan;
mod plot;
mod seconds;
mod setup;
mod statistics;
mod table;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use poolgate_sim::scenarios;

/// Poolgate's simulator: users, browsers, network, server and database in virtual time.
#[derive(Parser)]
#[command(name = "poolgate-sim", bin_name = "cargo xtask sim", disable_help_subcommand = true)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Without a command: `run`.
    #[command(flatten)]
    run: options::Options,
}

#[derive(Subcommand)]
enum Command {
    /// Show the built-in scenarios, the schemes and the settings of the law
    List,
    /// Run scenarios and print a table of the results; the default
    Run(options::Options),
    /// Measure the promises of the law; fails when one is broken
    Goals(goals::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command.unwrap_or(Command::Run(cli.run)) {
        Command::List => list().map(|()| true),
        Command::Run(options) => run(&options).map(|()| true),
        Command::Goals(options) => goals::run(&options),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn list() -> Result<()> {
    println!("Scenarios, for `cargo xtask sim SCENARIO`:");
    for name in scenarios::names() {
        println!("  {name:<14} {}", scenarios::load(name)?.title);
    }
    println!("\nSchemes, for `--scheme NAME`:");
    for scheme in poolgate_bench_rivals::all() {
        println!("  {:<14} {}", scheme.name(), scheme.about());
    }
    println!("\nSettings of poolgate's law, for `--set KEY=VALUE`; times in seconds:");
    for key in law::keys() {
        println!("  {key}");
    }
    Ok(())
}

fn run(options: &options::Options) -> Result<()> {
    let plan = options.plan()?;
    let results = batch::run(&plan);
    for table in table::tables(&results) {
        println!("{table}");
    }
    if options.each_second {
        for result in &results {
            println!("{}", seconds::table(result));
        }
    }
    if let Some(folder) = &options.csv {
        csv::write(folder, &results)?;
    }
    if let Some(path) = &options.document {
        for results in results.chunk_by(|a, b| a.case.setup.name == b.case.setup.name) {
            let name = results.first().map_or("", |result| result.case.setup.name.as_str());
            document::insert(path, &format!("sim {name}"), &document::comparison(results))?;
        }
    }
    if let Some(folder) = &options.svg {
        plot::write(folder, &results)?;
    }
    Ok(())
}
