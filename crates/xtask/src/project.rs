//! The project's paths, and how to run cargo.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process;

/// The clone, its target folder and the machine's tool cache.
pub(crate) struct Project {
    /// The repository's root.
    pub(crate) root: PathBuf,
    /// Cargo's target folder, which the user may have moved.
    pub(crate) target: PathBuf,
    /// Tools that are installed once per machine: `<cache>/<name>-<version>/`.
    pub(crate) tools: PathBuf,
}

impl Project {
    /// Finds the clone that this binary was built from.
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .context("crates/xtask is two folders below the repository's root")?
            .to_path_buf();
        let metadata =
            process::output(cargo_in(&root).args(["metadata", "--no-deps", "--offline", "--format-version", "1"]))?;
        let metadata: Value = serde_json::from_str(&metadata)?;
        let target = metadata["target_directory"].as_str().context("cargo metadata names no target_directory")?.into();
        Ok(Self { root, target, tools: cache_folder()?.join("tools") })
    }

    /// The cargo that runs this program, in the root.
    pub(crate) fn cargo(&self) -> Command {
        cargo_in(&self.root)
    }

    /// Any other program, in the root.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }

    /// The page's sources.
    pub(crate) fn www(&self) -> PathBuf {
        self.root.join("www")
    }

    /// The npm packages and their intermediate files.
    pub(crate) fn npm(&self) -> PathBuf {
        self.target.join("npm")
    }

    /// Logs and screenshots of the tests.
    pub(crate) fn reports(&self) -> PathBuf {
        self.target.join("xtask")
    }
}

/// Removes from the environment what the outer `cargo run` set about the package xtask. Build scripts that watch these
/// variables (ring's does) would otherwise run again, and rebuild all that depends on them, whenever xtask and plain
/// `cargo build` alternate.
fn cargo_in(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    for (name, _) in env::vars_os() {
        let told_by_cargo_run =
            name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
        if told_by_cargo_run {
            command.env_remove(name);
        }
    }
    command
}

fn cache_folder() -> Result<PathBuf> {
    let cache = match env::var_os("XDG_CACHE_HOME") {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder),
        _ => env::home_dir().context("no home folder for the tool cache: set XDG_CACHE_HOME")?.join(".cache"),
    };
    Ok(cache.join("poolgate"))
}
