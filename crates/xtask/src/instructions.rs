//! Counts of instructions: the same on a busy machine, where the clock is noise.

use anyhow::Result;

use crate::apt;
use crate::process::{find, run};
use crate::project::Project;
use crate::tools;

/// Runs a benchmark of gungraun's; it fails where it exceeds the limit that it sets itself.
pub(crate) fn count(project: &Project, package: &str, bench: &str) -> Result<()> {
    find_or_install_valgrind()?;
    let runner = tools::GUNGRAUN_RUNNER.program(project)?;
    let mut cargo = project.cargo();
    run(cargo.args(["bench", "--quiet", "--package", package, "--bench", bench]).env("GUNGRAUN_RUNNER", runner))
}

/// Makes sure that there is valgrind.
pub(crate) fn find_or_install_valgrind() -> Result<()> {
    if find("valgrind").is_none() {
        apt::install(&["valgrind"], "install valgrind")?;
    }
    Ok(())
}
