//! The operations page: sources with the package, and the hashed, minified form that releases embed.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::client_package::{self, mirror};
use crate::node::Node;
use crate::process;
use crate::project::Project;
use crate::step::step;
use crate::tools;

/// Puts a `.gz` beside each text of a folder.
const COMPRESS: &str = include_str!("compress-page.js");

/// `cargo xtask page`.
#[derive(Args)]
pub(crate) struct Options {
    /// Also make the page small and hashed, in www/dist (wasm-opt and Trunk)
    #[arg(long)]
    release: bool,
}

/// Runs the command.
pub(crate) fn run(project: &Project, options: &Options) -> Result<()> {
    let page = if options.release { dist(project)? } else { from_disk(project)? };
    println!("The page is in {}", page.display());
    Ok(())
}

/// Updates www/pkg and returns www, as the demo serves it: ES modules need no bundler.
pub(crate) fn from_disk(project: &Project) -> Result<PathBuf> {
    let package = client_package::build(project)?;
    mirror(&[&package], &project.www().join("pkg"))?;
    Ok(project.www())
}

/// Builds www/dist with Trunk: the same files with the small package.
pub(crate) fn dist(project: &Project) -> Result<PathBuf> {
    let package = client_package::build_small(project)?;
    mirror(&[&package], &project.www().join("pkg"))?;
    let trunk = tools::TRUNK.program(project)?;
    step("Building the page for release (Trunk)", || {
        // Trunk rejects the common NO_COLOR=1.
        let mut build = project.command(trunk);
        process::run(build.args(["build", "--release", "--quiet"]).env("NO_COLOR", "true"))
    })?;
    let dist = project.www().join("dist");
    let mut compress = Node::find_or_install(project)?.node(project)?;
    process::run(compress.args(["-e", COMPRESS, "--"]).arg(&dist))?;
    Ok(dist)
}
