//! Node.js and the npm packages of the tests, installed once per machine and lock file.

use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::apt;
use crate::process::{find, output, path_with, run};
use crate::project::Project;
use crate::tools::install_once;

/// The oldest Node.js that the package supports.
const OLDEST: u32 = 20;
/// The version to install where the system's is older.
const VERSION: &str = "22.23.3";
const OTHERWISE: &str = "install Node.js 20 or newer with its npm (https://nodejs.org)";

/// A recent enough Node.js, and npm.
pub(crate) struct Node {
    /// Folders to prepend to PATH; empty if the system's Node.js is used.
    folders: Vec<PathBuf>,
}

impl Node {
    /// The system's Node.js, or npm's package `node` if the system's is older than 20.
    pub(crate) fn find_or_install(project: &Project) -> Result<Self> {
        if find("npm").is_none() {
            apt::install(&["nodejs", "npm"], OTHERWISE)?;
        }
        if major(Path::new("node")).is_some_and(|version| version >= OLDEST) {
            return Ok(Self { folders: Vec::new() });
        }
        let announcement = format!("Installing Node.js {VERSION} (once per machine)");
        let binary = "node_modules/node/bin/node";
        let folder = install_once(project, &format!("node-{VERSION}"), binary, &announcement, |folder| {
            run(npm(folder).args(["install", "--no-save", "--no-package-lock", &format!("node@{VERSION}")]))
                .context(OTHERWISE)
        })?;
        let program = folder.join(binary);
        if major(&program).is_none_or(|version| version < OLDEST) {
            bail!("{} does not run: {OTHERWISE}", program.display());
        }
        Ok(Self { folders: program.parent().map(Path::to_path_buf).into_iter().collect() })
    }

    /// `node` at the repository's root.
    pub(crate) fn node(&self, project: &Project) -> Result<Command> {
        let program = self.folders.first().map_or_else(|| "node".into(), |folder| folder.join("node"));
        let mut command = project.command(program);
        command.env("PATH", self.path()?);
        Ok(command)
    }

    /// PATH for programs that start `node` themselves.
    pub(crate) fn path(&self) -> Result<OsString> {
        path_with(&self.folders)
    }

    /// npm, run in a folder.
    pub(crate) fn npm(&self, folder: &Path) -> Result<Command> {
        let mut command = npm(folder);
        command.env("PATH", path_with(&self.folders)?);
        Ok(command)
    }

    /// A program from the JavaScript tools, such as `tsc` or `wasm-opt`, run in the repository's root.
    pub(crate) fn tool(&self, project: &Project, name: &str) -> Result<Command> {
        let folder = self.tools(project)?.join(".bin");
        let mut command = project.command(folder.join(name));
        command.env("PATH", path_with(&[self.folders.clone(), vec![folder]].concat())?);
        Ok(command)
    }

    /// The `node_modules` of the JavaScript tools: those of tests/browser.
    pub(crate) fn tools(&self, project: &Project) -> Result<PathBuf> {
        self.modules(project, "tests/browser", "the JavaScript tools (Playwright, TypeScript, Binaryen)")
    }

    /// The `node_modules` of tests/packaging: bundlers, frameworks and similar libraries.
    pub(crate) fn company(&self, project: &Project) -> Result<PathBuf> {
        self.modules(project, "tests/packaging", "bundlers, frameworks and similar libraries for the packaging tests")
    }

    /// Installs the packages of a folder's package.json in the cache, and links them into the folder so that imports
    /// find them.
    fn modules(&self, project: &Project, folder: &str, what: &str) -> Result<PathBuf> {
        let source = project.root.join(folder);
        let lock = fs::read(source.join("package-lock.json"))?;
        let name = format!("npm-{:016x}", hash(&lock));
        let announcement = format!("Installing {what}, once per machine");
        let folder = install_once(project, &name, "node_modules/.package-lock.json", &announcement, |folder| {
            for file in ["package.json", "package-lock.json", ".npmrc"] {
                fs::copy(source.join(file), folder.join(file))?;
            }
            run(self.npm(folder)?.args(["ci", "--loglevel=error"]))
        })?;
        let modules = folder.join("node_modules");
        link(&modules, &source.join("node_modules"))?;
        Ok(modules)
    }
}

fn npm(folder: &Path) -> Command {
    let mut command = Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" });
    command.current_dir(folder).args(["--no-audit", "--no-fund", "--no-update-notifier"]);
    // npm must not ask questions, because the user cannot answer them here.
    command.env("npm_config_yes", "true").env("CI", "true");
    command
}

/// 20 of "v20.20.2".
fn major(node: &Path) -> Option<u32> {
    let version = output(Command::new(node).arg("--version")).ok()?;
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(unix)]
fn link(modules: &Path, link: &Path) -> Result<()> {
    if fs::read_link(link).is_ok_and(|target| target == modules) {
        return Ok(());
    }
    if link.is_symlink() {
        fs::remove_file(link)?;
    } else if link.exists() {
        bail!("{} is not a link: remove it, because cargo xtask links it to its tool cache", link.display());
    }
    Ok(std::os::unix::fs::symlink(modules, link)?)
}

#[cfg(windows)]
fn link(modules: &Path, link: &Path) -> Result<()> {
    // Windows requires a privilege for links; a junction needs none.
    if link.exists() {
        fs::remove_dir(link)?;
    }
    let mut mklink = Command::new("cmd");
    mklink.args(["/C", "mklink", "/J"]).arg(link).arg(modules);
    output(&mut mklink).map(drop)
}
