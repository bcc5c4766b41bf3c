//! Tests with generated input: schemathesis sends the demo what its OpenAPI document allows and forbids, and cargo-fuzz
//! runs the targets in fuzz/.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::process::{output, run};
use crate::project::Project;
use crate::server::{self, Server};
use crate::step::step;
use crate::{apt, tools};

/// As in fuzz/Cargo.toml.
const TARGETS: [&str; 4] = ["header", "config", "database_url", "settings"];
const SCHEMATHESIS: &str = "4.32.5";
/// Started through Python, because its scripts contain the folder where they were created.
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
        let program = tools::CARGO_FUZZ.program(project)?;
        step(&format!("Fuzzing {target} ({seconds} s; the first build takes minutes)"), || {
            let mut fuzz = project.command(program);
            // The project pins a stable compiler, which refuses flags that cargo-fuzz uses without this.
            fuzz.env("RUSTC_BOOTSTRAP", "1").args(["fuzz", "run", "--sanitizer", "none", target]);
            run(fuzz.args(["--", &format!("-max_total_time={seconds}")]))
        })?;
    }
    Ok(())
}

/// A schemathesis run and the demo that it tests.
struct Api {
    questions: Command,
    _demo: Server,
}

impl Api {
    fn start(project: &Project, seconds: u32) -> Result<Self> {
        let python = schemathesis(project)?;
        let folder = project.reports().join("fuzz");
        let demo = Server::start(&server::build(project)?, &folder, &["--demo"])?;
        let mut questions = Command::new(python);
        questions.current_dir(&folder).args(["-c", START, "run"]);
        questions.arg(format!("http://{}/api/v1/openapi.json", demo.address));
        questions.args([
            "--seed",
            "1",
            "--max-time",
            &seconds.to_string(),
            "--request-timeout",
            "15",
            "--max-response-time",
            "15",
        ]);
        // Orders have rules that a schema cannot express.
        questions.args(["--checks", "all", "--exclude-checks", "positive_data_acceptance"]);
        // A stream never ends, and a load would slow all other requests.
        for path in ["/api/v1/health/database/events", "/api/v1/lab/load"] {
            questions.args(["--exclude-path", path]);
        }
        Ok(Self { questions, _demo: demo })
    }
}

/// The Python with schemathesis installed.
fn schemathesis(project: &Project) -> Result<PathBuf> {
    let name = format!("schemathesis-{SCHEMATHESIS}");
    let announcement = format!("Installing schemathesis {SCHEMATHESIS} (a minute, once per machine)");
    let python = "bin/python";
    let folder = tools::install_once(project, &name, python, &announcement, |folder| {
        let make = || output(Command::new("python3").args(["-m", "venv"]).arg(folder));
        if make().is_err() {
            apt::install(&["python3-venv"], "schemathesis needs Python 3.10 or newer with its venv module")?;
            make()?;
        }
        let package = format!("schemathesis=={SCHEMATHESIS}");
        run(Command::new(folder.join(python)).args(["-m", "pip", "install", "--quiet", &package]))
    })?;
    Ok(folder.join(python))
}
