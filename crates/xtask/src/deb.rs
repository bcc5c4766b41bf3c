//! The package for Debian and its kin: program, unit and settings, as `[package.metadata.deb]` of crates/poolgate says.

use anyhow::{Result, ensure};

use crate::page;
use crate::process::{find, output, run as run_process};
use crate::project::Project;
use crate::step::step;
use crate::tools::CARGO_DEB;

/// Runs the command.
pub(crate) fn run(project: &Project) -> Result<()> {
    ensure!(find("dpkg-deb").is_some(), "dpkg-deb is missing: packages can only be made on Debian and its kin");
    let cargo_deb = CARGO_DEB.program(project)?;
    page::dist(project)?;
    step("Building the program", || {
        run_process(project.cargo().args(["build", "--release", "--package", "poolgate"]))
    })?;
    let package = step("Packing", || {
        let mut pack = project.command(cargo_deb);
        output(pack.args(["--package", "poolgate", "--no-build", "--quiet"]))
    })?;
    println!("{}", package.trim());
    Ok(())
}
