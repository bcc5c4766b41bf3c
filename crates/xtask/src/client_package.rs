//! The npm package @poolgate/client as a folder: WebAssembly, its glue and the hand-written JavaScript.
//!
//! wasm-bindgen runs as a library, so that no program has to be installed for it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use wasm_bindgen_cli_support::Bindgen;

use crate::node::Node;
use crate::process::{output, run};
use crate::project::Project;
use crate::step::step;
use crate::tools;

/// The glue's name; index.js imports `./poolgate_client.js`.
const NAME: &str = "poolgate_client";
/// The WebAssembly in the package.
pub(crate) const WASM: &str = "poolgate_client_bg.wasm";
/// Of the package's sources, what is for its developers alone.
const NOT_SHIPPED: [&str; 4] = ["test", "node_modules", "tsconfig.json", "package-lock.json"];

/// What rustc may emit and every browser since 2023 understands; Binaryen wants to be told.
const WASM_FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// Brings `target/npm/client` up to date: the package as the demo and the tests use it.
pub(crate) fn build(project: &Project) -> Result<PathBuf> {
    tools::wasm_target(project)?;
    step("Building the client for the browser", || {
        let glue = bindgen(project)?;
        for license in ["LICENSE-APACHE", "LICENSE-MIT"] {
            fs::copy(project.root.join(license), glue.join(license))?;
        }
        let package = project.npm().join("client");
        mirror(&[&sources(project), &glue], &package)?;
        Ok(package)
    })
}

/// The same, made as small as it gets by Binaryen's wasm-opt, in `target/npm/release`.
pub(crate) fn build_small(project: &Project) -> Result<PathBuf> {
    let node = Node::find_or_install(project)?;
    let package = build(project)?;
    step("Making the client small (wasm-opt)", || {
        let glue = project.npm().join("optimized");
        let optimized = glue.join(WASM);
        if !is_newer(&optimized, &package.join(WASM)) {
            fs::create_dir_all(&glue)?;
            let partial = glue.join(".partial.wasm");
            let mut wasm_opt = node.tool(project, "wasm-opt")?;
            wasm_opt.args(["-Oz", "--strip-debug", "--strip-producers"]).args(WASM_FEATURES);
            output(wasm_opt.arg(package.join(WASM)).arg("-o").arg(&partial))?;
            fs::rename(&partial, &optimized)?;
        }
        let release = project.npm().join("release");
        mirror(&[&package, &glue], &release)?;
        Ok(release)
    })
}

/// Makes `target` hold what `sources` hold, later ones winning, and nothing else. Files that are the same stay
/// untouched, so that a running server and its caches see only what has changed.
pub(crate) fn mirror(sources: &[&Path], target: &Path) -> Result<()> {
    fs::create_dir_all(target)?;
    let mut wanted = BTreeMap::new();
    for source in sources {
        for entry in fs::read_dir(source).with_context(|| format!("reading {}", source.display()))? {
            let entry = entry?;
            if is_shipped(&entry.file_name()) {
                wanted.insert(entry.file_name(), entry.path());
            }
        }
    }
    for (name, from) in &wanted {
        let to = target.join(name);
        if from.is_dir() {
            mirror(&[from], &to)?;
            continue;
        }
        let content = fs::read(from)?;
        if fs::read(&to).ok().as_ref() != Some(&content) {
            fs::write(&to, content)?;
        }
    }
    for entry in fs::read_dir(target)? {
        let entry = entry?;
        if wanted.contains_key(&entry.file_name()) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn is_shipped(name: &OsStr) -> bool {
    let hidden = name.as_encoded_bytes().starts_with(b".");
    !hidden && !NOT_SHIPPED.iter().any(|other| name == *other)
}

fn sources(project: &Project) -> PathBuf {
    project.root.join("crates/poolgate-client/js")
}

/// Compiles the crate and makes its glue, unless both are as they were.
fn bindgen(project: &Project) -> Result<PathBuf> {
    let mut cargo = project.cargo();
    cargo.args(["build", "--package", "poolgate-client", "--lib", "--profile", "wasm"]);
    run(cargo.args(["--target", "wasm32-unknown-unknown"]))?;
    let compiled = project.target.join("wasm32-unknown-unknown/wasm").join(format!("{NAME}.wasm"));
    let glue = project.npm().join("glue");
    if !is_newer(&glue.join(WASM), &compiled) {
        let mut bindgen = Bindgen::new();
        bindgen.web(true)?.input_path(&compiled).typescript(true).omit_default_module_path(false);
        bindgen.generate(&glue).context("making the JavaScript glue")?;
    }
    Ok(glue)
}

fn is_newer(made: &Path, from: &Path) -> bool {
    let modified = |path: &Path| -> Option<SystemTime> { fs::metadata(path).ok()?.modified().ok() };
    modified(made).zip(modified(from)).is_some_and(|(made, from)| made >= from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_holds_the_sources_and_nothing_else() {
        let root = std::env::temp_dir().join(format!("xtask-mirror-{}", std::process::id()));
        let (js, glue, package) = (root.join("js"), root.join("glue"), root.join("package"));
        for folder in ["js/test", "js/part", "glue", "package/gone"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for (file, content) in [
            ("js/index.js", "shell"),
            ("js/part/a.js", "a"),
            ("js/test/a.test.js", "not shipped"),
            ("js/same.wasm", "large"),
            ("glue/same.wasm", "small"),
            ("package/old.js", "old"),
        ] {
            fs::write(root.join(file), content).unwrap();
        }
        mirror(&[&js, &glue], &package).unwrap();
        let read = |file: &str| fs::read_to_string(package.join(file)).ok();
        assert_eq!(read("index.js").as_deref(), Some("shell"));
        assert_eq!(read("part/a.js").as_deref(), Some("a"));
        assert_eq!(read("same.wasm").as_deref(), Some("small"), "the later source wins");
        for gone in ["test", "old.js", "gone"] {
            assert!(!package.join(gone).exists(), "{gone}");
        }
        let before = fs::metadata(package.join("same.wasm")).unwrap().modified().unwrap();
        mirror(&[&js, &glue], &package).unwrap();
        let after = fs::metadata(package.join("same.wasm")).unwrap().modified().unwrap();
        assert_eq!(before, after, "what is the same stays untouched");
        fs::remove_dir_all(&root).unwrap();
    }
}
