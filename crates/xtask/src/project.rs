//! Where things are, and cargo.

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
    /// Cargo's target folder, wherever the user has put it.
    pub(crate) target: PathBuf,
    /// What is installed once per machine: `<cache>/<name>-<version>/`.
    pub(crate) tools: PathBuf,
}

impl Project {
    /// The clone that this binary was built from.
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .context("crates/xtask lies two folders below the repository's root")?
            .to_path_buf();
        let metadata =
            process::output(cargo_in(&root).args(["metadata", "--no-deps", "--offline", "--format-version", "1"]))?;
        let metadata: Value = serde_json::from_str(&metadata)?;
        let target = metadata["target_directory"].as_str().context("cargo metadata names no target_directory")?.into();
        Ok(Self { root, target, tools: cache_folder()?.join("tools") })
    }

    /// The cargo that runs us, at the root.
    pub(crate) fn cargo(&self) -> Command {
        cargo_in(&self.root)
    }

    /// Any other program, at the root.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }

    /// The page's sources.
    pub(crate) fn www(&self) -> PathBuf {
        self.root.join("www")
    }

    /// Packages for npm and what they are made from.
    pub(crate) fn npm(&self) -> PathBuf {
        self.target.join("npm")
    }

    /// Logs and pictures of the tests.
    pub(crate) fn reports(&self) -> PathBuf {
        self.target.join("xtask")
    }
}

/// Cargo, without what the outer `cargo run` told this process about the package xtask: build scripts that watch these
/// variables (ring's does) would run again, and everything above them with it, each time that xtask and a plain
/// `cargo build` take turns.
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
        _ => env::home_dir().context("there is no home folder to keep tools in")?.join(".cache"),
    };
    Ok(cache.join("poolgate"))
}
