//! The npm tarball and its size.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::client_package;
use crate::node::Node;
use crate::process::output;
use crate::project::Project;
use crate::step::step;

/// Prints each file's name and its size in bytes, as gzip and as brotli.
const WEIGH: &str = "
    const { readFileSync } = require('node:fs');
    const { gzipSync, brotliCompressSync } = require('node:zlib');
    for (const file of process.argv.slice(1)) {
        const bytes = readFileSync(file);
        const sizes = [bytes, gzipSync(bytes, { level: 9 }), brotliCompressSync(bytes)].map((b) => b.length);
        console.log(file.padEnd(28), ...sizes.map((size) => String(size).padStart(9)));
    }";

/// Runs the command.
pub(crate) fn run(project: &Project) -> Result<()> {
    let node = Node::find_or_install(project)?;
    let package = client_package::build_small(project)?;
    let mut packed = step("Packing", || {
        let mut npm = node.npm(&package)?;
        npm.args(["pack", "--json", "--pack-destination"]).arg(project.npm());
        let report: Value = serde_json::from_str(&output(&mut npm)?)?;
        Ok(report[0].clone())
    })?;
    let files = packed["files"].take();
    let files = files.as_array().into_iter().flatten().filter_map(|file| file["path"].as_str());
    let code = files.filter(|path| Path::new(path).extension().is_some_and(|e| e == "js" || e == "wasm"));
    println!("{:28} {:>9} {:>9} {:>9}", "", "bytes", "gzip", "brotli");
    let mut weigh = node.node(project)?;
    weigh.current_dir(&package).args(["-e", WEIGH]).args(code);
    print!("{}", output(&mut weigh)?);
    let tarball = packed["filename"].as_str().context("npm pack names no file")?;
    // Older npm versions print a scoped name's slash here, although the file name has none.
    let tarball = tarball.trim_start_matches('@').replace('/', "-");
    println!("{}", project.npm().join(tarball).display());
    Ok(())
}
