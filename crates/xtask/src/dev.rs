//! Serves the page with reload on change, for work on the page.

use anyhow::Result;

use crate::page;
use crate::process;
use crate::project::Project;
use crate::tools;

/// Builds the package once and runs `trunk serve`, which forwards `/api` to the demo on port 8000.
pub(crate) fn run(project: &Project) -> Result<()> {
    let trunk = tools::TRUNK.program(project)?;
    page::from_disk(project)?;
    println!("Requests to /api go to http://127.0.0.1:8000: run `cargo xtask demo --no-open` in another terminal.");
    process::run(project.command(trunk).arg("serve").env("NO_COLOR", "true"))
}
