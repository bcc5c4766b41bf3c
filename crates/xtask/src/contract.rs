//! The contract for JavaScript, as a test of poolgate-client writes it from the Rust types.

use anyhow::Result;

use crate::process::output;
use crate::project::Project;

/// Runs the command.
pub(crate) fn run(project: &Project) -> Result<()> {
    let mut cargo = project.cargo();
    cargo.args(["test", "--quiet", "--package", "poolgate-client", "--lib", "the_contract_is_current"]);
    output(cargo.env("POOLGATE_WRITE_CONTRACT", "1"))?;
    println!("crates/poolgate-client/js/{{contract.js,wire.d.ts}}, www/js/contract.js, www/types/wire.d.ts");
    Ok(())
}
