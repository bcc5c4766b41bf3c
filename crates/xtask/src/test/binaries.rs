//! The workspace's test binaries. Cargo builds them and names them; it would run them one after the other, and most of
//! them wait for most of their time.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::process;
use crate::project::Project;

/// Targets that take longest. They begin first, so that none of them runs alone at the end.
const LONGEST: [&str; 5] = ["server", "program", "postgres", "gateway", "cluster_model"];
/// Targets that compare what is served with what could be: anything beside them would spoil the figures.
const MEASURING: [&str; 2] = ["full_stack", "sources"];

/// A test binary.
pub(super) struct Binary {
    /// Its target in the manifest: `server` for `tests/server/main.rs`, the crate's name for its unit tests.
    target: String,
    program: PathBuf,
    /// Where its package is: cargo runs tests there.
    folder: PathBuf,
}

impl Binary {
    /// All of the workspace, those that take longest first. Builds what is missing.
    pub(super) fn all(project: &Project) -> Result<Vec<Self>> {
        let mut build = project.cargo();
        build.args([
            "test",
            "--locked",
            "--workspace",
            "--no-run",
            "--quiet",
            "--message-format=json-render-diagnostics",
        ]);
        let mut binaries = read(&process::output(&mut build)?)?;
        for target in LONGEST.iter().chain(&MEASURING) {
            // A renamed target would silently run in the wrong place.
            ensure!(binaries.iter().any(|binary| binary.target == *target), "no test is called {target} any more");
        }
        binaries.sort_by_key(|binary| LONGEST.iter().position(|name| *name == binary.target).unwrap_or(LONGEST.len()));
        Ok(binaries)
    }

    /// Whether it is this target of this package.
    pub(super) fn is(&self, package: &str, target: &str) -> bool {
        self.folder.ends_with(package) && self.target == target
    }

    /// Whether it must run alone.
    pub(super) fn measures(&self) -> bool {
        MEASURING.contains(&self.target.as_str())
    }

    /// The command that runs it as cargo would.
    pub(super) fn command(&self, project: &Project) -> Command {
        let mut command = project.command(&self.program);
        command.current_dir(&self.folder).env("CARGO_MANIFEST_DIR", &self.folder);
        command
    }
}

/// The test binaries that cargo's messages name, one message on each line.
fn read(messages: &str) -> Result<Vec<Binary>> {
    let mut binaries = Vec::new();
    for line in messages.lines() {
        let message: Value = serde_json::from_str(line).with_context(|| format!("a message of cargo: {line}"))?;
        let (true, Some(program)) = (message["profile"]["test"] == true, message["executable"].as_str()) else {
            continue;
        };
        let target = message["target"]["name"].as_str().context("a target has a name")?.to_owned();
        let manifest = Path::new(message["manifest_path"].as_str().context("a package has a manifest")?);
        let folder = manifest.parent().context("a manifest lies in a folder")?.to_owned();
        binaries.push(Binary { target, program: program.into(), folder });
    }
    Ok(binaries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_test_binaries_are_read() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","manifest_path":"/p/a/Cargo.toml","target":{"name":"a"},"profile":{"test":false},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","manifest_path":"/p/a/Cargo.toml","target":{"name":"a"},"profile":{"test":false},"executable":"/t/a"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","manifest_path":"/p/a/Cargo.toml","target":{"name":"flow"},"profile":{"test":true},"executable":"/t/flow-1"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        let binaries = read(messages).unwrap();
        let [binary] = &binaries[..] else { panic!("{}", binaries.len()) };
        assert_eq!((binary.target.as_str(), binary.folder.as_path()), ("flow", Path::new("/p/a")));
    }
}
