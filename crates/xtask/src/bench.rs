//! Measurements. Each is a program of its own; these commands build it, install what it needs and run it.

use std::process::Command;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::chromium::Chromium;
use crate::instructions;
use crate::node::Node;
use crate::project::Project;
use crate::{client_package, example, nats, page, postgres, process, proxies, server, tools};

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
        /// Passed on; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// The gateway beside HAProxy and nginx, with FastAPI and PostgreSQL: overload, cost of the hop, memory; about ten
    /// minutes, five with --quick; `--only hop`, `--document docs/benchmarks.md`
    Gateway {
        /// Passed on; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Cost of a rejected request: CPU time and, if valgrind is installed, instructions
    Gate,
    /// Instructions of acquire and release of a hot pool connection; fails if they grow by 5 %
    Instructions,
    /// Cost of a cluster's exchange: processor time of a replica among 3, 10 and 64
    Cluster,
    /// Cost of the throttle: nanoseconds per operation, bytes per queued request
    Throttle,
    /// Cost of the npm package in Chromium compared with similar libraries; `--quick`, `--only overhead`, `--document
    /// docs/client.md`
    Client {
        /// Passed on
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// What poolgate-web adds to a page in Rust: time per call in Chromium, bytes, code by crate; `--quick`, `--only overhead`
    Web {
        /// Passed on
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Our connection pool, sqlx's, deadpool and bb8, in release builds, on PostgreSQL and SQLite
    Pool {
        /// Passed on; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// What Poolgate costs an app: config route and gate beside the same handlers bare, start, memory; three minutes;
    /// `--quick`, `--document docs/benchmarks.md`
    Server {
        /// Passed on; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Three replicas behind HAProxy that share one PostgreSQL: one is killed, stopped, cut off, a release is rolled out; ten
    /// minutes; `--only deploy`, `--document docs/cluster.md`
    Replicas {
        /// Passed on; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Cost of 10,000 open event streams, and the time until a new config reaches all of them
    Streams {
        /// Passed on; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Poolgate and its rivals under overload, on axum and PostgreSQL; about an hour, fewer with `--seeds`, or `--only`
    Overload {
        /// Passed on; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

/// Runs a measurement and prints its table.
pub(crate) fn run(project: &Project, options: &Options) -> Result<()> {
    match &options.bench {
        Bench::BeforeAfter { arguments } => before_after(project, arguments),
        Bench::Gateway { arguments } => gateway(project, arguments),
        Bench::Gate => bench(project, "poolgate", "gate"),
        Bench::Client { arguments } => client(project, arguments),
        Bench::Web { arguments } => web(project, arguments),
        Bench::Pool { arguments } => pool(project, arguments),
        Bench::Instructions => pool_instructions(project),
        Bench::Cluster => bench(project, "poolgate-control", "cluster"),
        Bench::Throttle => bench(project, "poolgate-throttle", "engine"),
        Bench::Server { arguments } => server_costs(project, arguments),
        Bench::Replicas { arguments } => replicas(project, arguments),
        Bench::Streams { arguments } => streams(project, arguments),
        Bench::Overload { arguments } => overload(project, arguments),
    }
}

fn bench(project: &Project, package: &str, name: &str) -> Result<()> {
    process::run(project.cargo().args(["bench", "--quiet", "--package", package, "--bench", name]))
}

/// Server and users are built like the tests; the table compares runs of one build.
fn before_after(project: &Project, arguments: &[String]) -> Result<()> {
    postgres::find_or_install()?;
    let server = server::build(project)?;
    let mut bench = project.cargo();
    bench.args(["run", "--quiet", "--package", "poolgate-e2e", "--bin", "before_after", "--"]);
    process::run(bench.args(arguments).env("TEST_POOLGATE_BIN", server))
}

/// A release build, because libraries are compared as they are shipped.
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

/// Memory and CPU time are those of a release build.
fn streams(project: &Project, arguments: &[String]) -> Result<()> {
    process::run(project.cargo().args(["build", "--quiet", "--release", "--package", "poolgate"]))?;
    let server = project.target.join("release").join(format!("poolgate{}", std::env::consts::EXE_SUFFIX));
    let mut bench = project.cargo();
    bench.args(["run", "--quiet", "--release", "--package", "poolgate-e2e", "--bin", "streams", "--"]);
    process::run(bench.args(arguments).env("TEST_POOLGATE_BIN", server))
}

/// Beside Debian's programs.
fn gateway(project: &Project, arguments: &[String]) -> Result<()> {
    postgres::find_or_install()?;
    proxies::find_or_install()?;
    let mut bench = lab_with_program(project, "gateway", arguments)?;
    process::run(bench.env("TEST_FASTAPI_PYTHON", tools::python_for(project, "tests/apps/fastapi")?))
}

/// With both stores.
fn replicas(project: &Project, arguments: &[String]) -> Result<()> {
    postgres::find_or_install()?;
    proxies::find_or_install()?;
    let nats = nats::find_or_unpack(project)?;
    process::run(lab_with_program(project, "replicas", arguments)?.env("TEST_NATS_SERVER", nats))
}

fn server_costs(project: &Project, arguments: &[String]) -> Result<()> {
    process::run(&mut lab_with_program(project, "routes", arguments)?)
}

/// A part of the lab, and the program that it measures: both as they are shipped.
fn lab_with_program(project: &Project, part: &str, arguments: &[String]) -> Result<Command> {
    let mut build = project.cargo();
    process::run(build.args(["build", "--release", "--package", "poolgate", "--package", "poolgate-bench-lab"]))?;
    let release = |name: &str| project.target.join("release").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let mut bench = project.command(release("poolgate-bench-lab"));
    bench.arg(part).args(arguments).env("TEST_POOLGATE_BIN", release("poolgate"));
    Ok(bench)
}

/// The package as it is released.
fn client(project: &Project, arguments: &[String]) -> Result<()> {
    let node = Node::find_or_install(project)?;
    node.tools(project)?;
    node.company(project)?;
    let package = client_package::build_small(project)?;
    let mut bench = node.node(project)?;
    bench.arg("tests/packaging/bench/main.js").args(arguments).env("POOLGATE_PACKAGE", package);
    process::run(bench.env("CHROMIUM", Chromium::find_or_install()?.browser))
}

/// Two pages that differ in the client alone.
fn web(project: &Project, arguments: &[String]) -> Result<()> {
    let node = Node::find_or_install(project)?;
    let tools = node.tools(project)?;
    let pages = example::build_pages(project, &["bare", "poolgate"])?;
    let mut bench = node.node(project)?;
    bench.arg("tests/examples/bench.js").args(arguments).env("POOLGATE_TOOLS", tools).env("EXAMPLE_PAGES", pages);
    process::run(bench.env("CHROMIUM", Chromium::find_or_install()?.browser))
}

/// A release build, because the cost of a rejection is one of the figures.
fn overload(project: &Project, arguments: &[String]) -> Result<()> {
    postgres::find_or_install()?;
    proxies::find_or_install()?;
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
