//! The user that runs the server: PostgreSQL refuses to run as root.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The user to run as; `None` is the current one.
#[derive(Debug)]
pub(crate) struct Account(Option<Ids>);

#[derive(Debug)]
struct Ids {
    user: u32,
    group: u32,
}

impl Account {
    /// The current user, or `postgres` if that is root.
    pub(crate) fn for_server() -> Result<Self> {
        if id(&["-u"])? != 0 {
            return Ok(Self(None));
        }
        let missing = "PostgreSQL refuses to run as root, and there is no user `postgres`: create one";
        let user = id(&["-u", "postgres"]).context(missing)?;
        let group = id(&["-g", "postgres"]).context(missing)?;
        Ok(Self(Some(Ids { user, group })))
    }

    /// Gives the folder to the user.
    pub(crate) fn give(&self, folder: &Path) -> Result<()> {
        if let Some(Ids { user, group }) = self.0 {
            chown(folder, Some(user), Some(group))?;
        }
        Ok(())
    }

    /// Makes the command run as the user.
    pub(crate) fn apply(&self, command: &mut Command) {
        if let Some(Ids { user, group }) = self.0 {
            command.uid(user).gid(group);
        }
    }
}

fn id(arguments: &[&str]) -> Result<u32> {
    let output = Command::new("id").args(arguments).output().context("cannot run id")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "id: {}", error.trim());
    String::from_utf8_lossy(&output.stdout).trim().parse().context("id printed no number")
}
