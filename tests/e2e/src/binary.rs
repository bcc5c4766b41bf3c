//! Finds the binary under test.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use anyhow::{Context, Result, bail, ensure};

/// The `poolgate` binary: the one in `TEST_POOLGATE_BIN`, or the one that cargo builds now, once per process, in this
/// program's own profile.
///
/// # Errors
///
/// `TEST_POOLGATE_BIN` is not a file, or the build fails.
pub fn binary() -> Result<&'static Path> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match BINARY.get_or_init(|| find().map_err(|error| format!("{error:#}"))) {
        Ok(path) => Ok(path),
        Err(error) => bail!("no poolgate binary: {error}"),
    }
}

fn find() -> Result<PathBuf> {
    let Some(named) = env::var_os("TEST_POOLGATE_BIN") else { return build() };
    let path = PathBuf::from(named);
    ensure!(path.is_file(), "TEST_POOLGATE_BIN: {} is not a file", path.display());
    Ok(path)
}

fn build() -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--package", "poolgate", "--bin", "poolgate"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command.output().context("cannot run cargo")?;
    ensure!(output.status.success(), "cargo build: {}", output.status);
    executable(&String::from_utf8_lossy(&output.stdout)).context("cargo named no executable")
}

/// The executable that is named last in cargo's messages (one JSON document per line).
fn executable(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)))
        .next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_read_from_cargos_messages() {
        let messages = "not json\n{\"reason\":\"compiler-artifact\",\"executable\":null}\n\
                        {\"reason\":\"compiler-artifact\",\"executable\":\"/x/poolgate\"}\n{\"success\":true}\n";
        assert_eq!(executable(messages), Some(PathBuf::from("/x/poolgate")));
    }
}
