//! Measurements. Each is a program of its own among the tests' packages; here they get what they need and run.

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::chromium::Chromium;
use crate::instructions;
use crate::node::Node;
use crate::project::Project;
use crate::{client_package, page, postgres, process, server};

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
    /// What it costs to turn a request away: processor time and, where valgrind is installed, instructions
    Gate,
    /// What acquire + release of a hot connection of our pool takes, in instructions; fails if that has grown by 5 %
    Instructions,
    /// What the throttle costs: nanoseconds per operation, bytes per waiting request
    Throttle,
    /// What the npm package costs in Chromium, beside its like; `--quick`, `--only overhead`, `--document docs/client.md`
    Client {
        /// Handed on
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Our connection pool, sqlx's, deadpool and bb8, in release builds, on PostgreSQL and SQLite
    Pool {
        /// Handed on; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// What 10,000 open event streams cost, and how fast a new config reaches all of them
    Streams {
        /// Handed on; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Poolgate and its rivals under overload, on axum and PostgreSQL; some twenty minutes, with --quick five
    Overload {
        /// Handed on; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

/// Runs a measurement and prints its table.
pub(crate) fn run(project: &Project, options: &Options) -> Result<()> {
    match &options.bench {
        Bench::BeforeAfter { arguments } => before_after(project, arguments),
        Bench::Gate => bench(project, "poolgate-server", "gate"),
        Bench::Client { arguments } => client(project, arguments),
        Bench::Pool { arguments } => pool(project, arguments),
        Bench::Instructions => pool_instructions(project),
        Bench::Throttle => bench(project, "poolgate-throttle", "engine"),
        Bench::Streams { arguments } => streams(project, arguments),
        Bench::Overload { arguments } => overload(project, arguments),
    }
}

fn bench(project: &Project, package: &str, name: &str) -> Result<()> {
    process::run(project.cargo().args(["bench", "--quiet", "--package", package, "--bench", name]))
}

/// Server and users are built as the tests build them: the table compares runs of one build.
fn before_after(project: &Project, arguments: &[String]) -> Result<()> {
    postgres::find_or_install()?;
    let server = server::build(project)?;
    let mut bench = project.cargo();
    bench.args(["run", "--quiet", "--package", "poolgate-e2e", "--bin", "before_after", "--"]);
    process::run(bench.args(arguments).env("TEST_POOLGATE_BIN", server))
}

/// Libraries are compared as they are shipped, hence the release build.
fn pool(project: &Project, arguments: &[String]) -> Result<()> {
    postgres::find_or_install()?;
    process::run(project.cargo().args(["build", "--quiet", "--release", "--package", "poolgate-bench-pool"]))?;
    let program = project.target.join("release").join(format!("poolgate-bench-pool{}", std::env::consts::EXE_SUFFIX));
    process::run(project.command(&program).args(arguments))?;
    if arguments.is_empty() {
        pool_instructions(project)?;
    }
    Ok(())
}

fn pool_instructions(project: &Project) -> Result<()> {
    println!("\nAcquire + release of a hot connection of ours, a hundred times:");
    instructions::count(project, "poolgate-bench-pool", "hot_path")
}

/// Memory and processor time are those of a server as it is shipped.
fn streams(project: &Project, arguments: &[String]) -> Result<()> {
    process::run(project.cargo().args(["build", "--quiet", "--release", "--package", "poolgate-server"]))?;
    let server = project.target.join("release").join(format!("poolgate{}", std::env::consts::EXE_SUFFIX));
    let mut bench = project.cargo();
    bench.args(["run", "--quiet", "--release", "--package", "poolgate-e2e", "--bin", "streams", "--"]);
    process::run(bench.args(arguments).env("TEST_POOLGATE_BIN", server))
}

/// The package as it is shipped.
fn client(project: &Project, arguments: &[String]) -> Result<()> {
    let node = Node::find_or_install(project)?;
    node.tools(project)?;
    node.company(project)?;
    let package = client_package::build_small(project)?;
    let mut bench = node.node(project)?;
    bench.arg("tests/packaging/bench/main.js").args(arguments).env("POOLGATE_PACKAGE", package);
    process::run(bench.env("CHROMIUM", Chromium::find_or_install()?.browser))
}

/// Built for release: what a rejection costs is one of the figures.
fn overload(project: &Project, arguments: &[String]) -> Result<()> {
    postgres::find_or_install()?;
    let mut bench = project.cargo();
    bench.args(["run", "--release", "--package", "poolgate-bench-lab", "--"]).args(arguments);
    if arguments.iter().any(|argument| argument.starts_with("--tabs")) {
        let node = Node::find_or_install(project)?;
        node.tools(project)?;
        bench.env("CHROMIUM", Chromium::find_or_install()?.browser);
        bench.env("PATH", node.path()?).env("POOLGATE_WWW", page::from_disk(project)?);
    }
    process::run(&mut bench)
}
