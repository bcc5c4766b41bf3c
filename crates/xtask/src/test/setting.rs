//! What the steps need on the machine, found or installed when the first step asks for it.

use std::cell::OnceCell;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use crate::chromium::Chromium;
use crate::node::Node;
use crate::operations::Programs;
use crate::project::Project;
use crate::{client_package, page, server};

/// The clone and the tools found so far. A missing tool fails every step that asks for it.
pub(super) struct Setting<'a> {
    pub(super) project: &'a Project,
    node: OnceCell<Result<Node, String>>,
    chromium: OnceCell<Result<Chromium, String>>,
    package: OnceCell<Result<PathBuf, String>>,
}

impl<'a> Setting<'a> {
    /// Nothing found yet.
    pub(super) fn new(project: &'a Project) -> Self {
        Self { project, node: OnceCell::new(), chromium: OnceCell::new(), package: OnceCell::new() }
    }

    /// Node.js with the JavaScript tools installed.
    pub(super) fn node(&self) -> Result<&Node> {
        remember(&self.node, || {
            let node = Node::find_or_install(self.project)?;
            node.tools(self.project)?;
            Ok(node)
        })
    }

    /// Chromium and its driver.
    pub(super) fn chromium(&self) -> Result<&Chromium> {
        remember(&self.chromium, Chromium::find_or_install)
    }

    /// The npm package's folder, up to date; also copied to www/pkg.
    pub(super) fn package(&self) -> Result<&Path> {
        let package = remember(&self.package, || {
            page::from_disk(self.project)?;
            Ok(self.project.npm().join("client"))
        })?;
        Ok(package)
    }

    /// `node --test` over test files, with this many at a time and with the npm package.
    pub(super) fn node_tests(&self, files: &[PathBuf], at_a_time: u32) -> Result<Command> {
        let mut command = self.bare_node_tests(files, at_a_time)?;
        command.env("POOLGATE_PACKAGE", self.package()?);
        Ok(command)
    }

    /// The same without it.
    fn bare_node_tests(&self, files: &[PathBuf], at_a_time: u32) -> Result<Command> {
        let mut command = self.node()?.node(self.project)?;
        command.args(["--test", "--test-reporter=tap", &format!("--test-concurrency={at_a_time}")]).args(files);
        command.env("TEST_POOLGATE_BIN", server::binary(self.project));
        command.env("POOLGATE_TOOLS", self.node()?.tools(self.project)?);
        Ok(command)
    }

    /// Rules, dashboard, unit, chart and settings of `ops/`, with the programs that they are for, and the book of docs/.
    pub(super) fn operations_tests(&self) -> Result<Command> {
        let programs = Programs::find_or_install(self.project)?;
        let mut command = self.bare_node_tests(&self.test_files("tests/operations", "")?, 2)?;
        command.env("PROMTOOL", programs.promtool).env("ALERTMANAGER", programs.alertmanager);
        command.env("TEST_HELM_PYTHON", programs.helm_python).env("TEST_SCHEMATHESIS_PYTHON", programs.schemathesis);
        command.env("TEST_MDBOOK", programs.mdbook);
        if let Some(program) = programs.cargo_deb {
            command.env("TEST_CARGO_DEB", program);
        }
        if let Some(program) = programs.systemd_analyze {
            command.env("SYSTEMD_ANALYZE", program);
        }
        Ok(command)
    }

    /// The same in Chromium, with the page of a folder.
    pub(super) fn browser_tests(&self, files: &[PathBuf], at_a_time: u32, www: &Path) -> Result<Command> {
        let chromium = self.chromium()?;
        let screenshots = self.project.reports().join("screenshots");
        fs::create_dir_all(&screenshots)?;
        let mut command = self.node_tests(files, at_a_time)?;
        command.env("CHROMIUM", &chromium.browser).env("CHROMEDRIVER", &chromium.driver);
        command.env("POOLGATE_WWW", www).env("POOLGATE_SCREENSHOTS", screenshots);
        Ok(command)
    }

    /// Installs the tarball in projects like those of users.
    pub(super) fn packaging_tests(&self) -> Result<Command> {
        self.node()?.company(self.project)?;
        let mut command = self.node_tests(&self.test_files("tests/packaging", "")?, 1)?;
        command.env("CHROMIUM", &self.chromium()?.browser);
        Ok(command)
    }

    /// Every test file of a folder whose name begins with `prefix`.
    pub(super) fn test_files(&self, folder: &str, prefix: &str) -> Result<Vec<PathBuf>> {
        let folder = self.project.root.join(folder);
        let mut files = Vec::new();
        collect_tests(&folder, prefix, &mut files)?;
        files.sort();
        if files.is_empty() {
            bail!("{} has no {prefix}*.test.js", folder.display());
        }
        Ok(files)
    }

    /// The unoptimized WebAssembly as wasm-bindgen made it.
    pub(super) fn client_wasm(&self) -> Result<PathBuf> {
        Ok(self.package()?.join(client_package::WASM))
    }
}

/// A variable like RUSTFLAGS: the user's value with more appended.
pub(super) fn with_flags(variable: &str, flags: &str) -> OsString {
    let mut all = env::var_os(variable).unwrap_or_default();
    all.push(" ");
    all.push(flags);
    all
}

fn remember<T>(cell: &OnceCell<Result<T, String>>, find: impl FnOnce() -> Result<T>) -> Result<&T> {
    let found = cell.get_or_init(|| find().map_err(|error| format!("{error:#}")));
    found.as_ref().map_err(|error| anyhow!(error.clone()))
}

fn collect_tests(folder: &Path, prefix: &str, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if entry.file_type()?.is_dir() {
            if name != "node_modules" {
                collect_tests(&entry.path(), prefix, files)?;
            }
        } else if name.starts_with(prefix) && (name.ends_with(".test.js") || name.ends_with(".test.mjs")) {
            files.push(entry.path());
        }
    }
    Ok(())
}
