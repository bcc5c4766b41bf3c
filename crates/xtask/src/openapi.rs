//! Writes docs/openapi.json from the running server.

use std::fs;

use anyhow::Result;

use crate::http;
use crate::project::Project;
use crate::server::{self, Server};

/// Runs the command.
pub(crate) fn run(project: &Project) -> Result<()> {
    let binary = server::build(project)?;
    let server = Server::start(&binary, &project.reports().join("openapi"), &["--demo"])?;
    let document = http::json(server.address, "GET", "/api/v1/openapi.json", None)?;
    let path = project.root.join("docs/openapi.json");
    fs::write(&path, format!("{document:#}\n"))?;
    println!("{}", path.display());
    Ok(())
}
