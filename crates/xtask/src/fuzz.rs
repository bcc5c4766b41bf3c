//! Tests with generated input: schemathesis sends the demo what its OpenAPI document allows and forbids, and cargo-fuzz
//! runs the targets in fuzz/.

use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::process::run;
use crate::project::Project;
use crate::server::{self, Server};
use crate::step::step;
use crate::tools;

/// In fuzz/Cargo.toml.
const TARGETS: [&str; 6] = ["header", "config", "event_stream", "address", "database_url", "settings"];
/// Its scripts name the folder that they were made in, so it is started without them.
const START: &str = "from schemathesis.cli import schemathesis; schemathesis()";

#[derive(Args)]
pub(crate) struct Options {
    /// How long schemathesis and each target run, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Only `api`, or this target
    #[arg(long)]
    only: Option<String>,
}

/// Runs the command.
pub(crate) fn fuzz(project: &Project, options: &Options) -> Result<()> {
    let is_wanted = |name: &str| options.only.as_deref().is_none_or(|only| only == name);
    let seconds = options.seconds;
    if is_wanted("api") {
        let mut api = Api::start(project, seconds)?;
        step(&format!("Testing the demo with generated requests ({seconds} s)"), || run(&mut api.questions))?;
    }
    for target in TARGETS.into_iter().filter(|target| is_wanted(target)) {
        let mut fuzz = run_target(project, target, seconds)?;
        step(&format!("Fuzzing {target} ({seconds} s; the first build takes minutes)"), || run(&mut fuzz))?;
    }
    Ok(())
}

/// Builds every target.
pub(crate) fn build_targets(project: &Project) -> Result<Command> {
    cargo_fuzz(project, "build")
}

/// Runs a target for some seconds.
pub(crate) fn run_target(project: &Project, target: &str, seconds: u32) -> Result<Command> {
    let mut fuzz = cargo_fuzz(project, "run")?;
    fuzz.args([target, "--", &format!("-max_total_time={seconds}")]);
    Ok(fuzz)
}

fn cargo_fuzz(project: &Project, task: &str) -> Result<Command> {
    let mut fuzz = project.command(tools::CARGO_FUZZ.program(project)?);
    // The project's compiler is a stable one, and cargo-fuzz asks for flags that it refuses otherwise.
    fuzz.env("RUSTC_BOOTSTRAP", "1").args(["fuzz", task, "--sanitizer", "none"]);
    Ok(fuzz)
}

/// A run of schemathesis, and the demo that it asks.
struct Api {
    questions: Command,
    _demo: Server,
}

impl Api {
    fn start(project: &Project, seconds: u32) -> Result<Self> {
        let python = tools::SCHEMATHESIS.python(project)?;
        let folder = project.reports().join("fuzz");
        let demo = Server::start(&server::build(project)?, &folder, &["--demo"])?;
        let mut questions = Command::new(python);
        questions.current_dir(&folder).args(["-c", START, "--config-file"]);
        questions.arg(project.root.join("fuzz/schemathesis.toml"));
        questions.args(["run", &format!("http://{}/api/v1/openapi.json", demo.address)]);
        questions.args(["--max-time", &seconds.to_string(), "--max-response-time", "15", "--checks", "all"]);
        // A load would slow all other requests.
        questions.args(["--exclude-path", "/api/v1/lab/load"]);
        Ok(Self { questions, _demo: demo })
    }
}
