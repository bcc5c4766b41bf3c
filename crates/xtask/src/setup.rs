//! Installs at once what the other commands install when they need it.

use anyhow::Result;

use crate::chromium::Chromium;
use crate::instructions;
use crate::nats;
use crate::node::Node;
use crate::operations::Programs;
use crate::postgres;
use crate::project::Project;
use crate::tools;

/// Runs the command.
pub(crate) fn run(project: &Project) -> Result<()> {
    tools::wasm_target(project)?;
    tools::lint_components(project)?;
    postgres::find_or_install()?;
    postgres::find_or_install_pooler()?;
    nats::find_or_unpack(project)?;
    Chromium::find_or_install()?;
    Node::find_or_install(project)?.tools(project)?;
    Programs::find_or_install(project)?;
    for tool in [&tools::CARGO_DENY, &tools::WASM_PACK, &tools::WASM_BINDGEN, &tools::TRUNK, &tools::GUNGRAUN_RUNNER] {
        tool.folder(project)?;
    }
    // Last, because only a benchmark needs it and some machines do not have it.
    instructions::find_or_install_valgrind()?;
    println!("Everything is installed; the tools are in {}", project.tools.display());
    Ok(())
}
