//! Instruction counts: they do not depend on the load of the machine, as times do.

use anyhow::Result;

use crate::apt;
use crate::process::{find, run};
use crate::project::Project;
use crate::tools;

/// Runs a gungraun benchmark; it fails above the limit that the benchmark sets.
pub(crate) fn count(project: &Project, package: &str, bench: &str) -> Result<()> {
    find_or_install_valgrind()?;
    let runner = tools::GUNGRAUN_RUNNER.program(project)?;
    let mut cargo = project.cargo();
    run(cargo.args(["bench", "--quiet", "--package", package, "--bench", bench]).env("GUNGRAUN_RUNNER", runner))
}

/// Installs valgrind if it is missing.
pub(crate) fn find_or_install_valgrind() -> Result<()> {
    if find("valgrind").is_none() {
        apt::install(&["valgrind"], "install valgrind")?;
    }
    Ok(())
}
