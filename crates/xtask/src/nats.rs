//! Finds nats-server; the tests start private servers from it.

use std::path::PathBuf;

use anyhow::Result;

use crate::apt;
use crate::process::find;
use crate::project::Project;
use crate::tools::install_once;

/// The package, which is unpacked into the tool cache: the server needs nothing beside it, and so no service is installed.
const PACKAGE: &str = "nats-server";
const PATH: &str = "usr/sbin/nats-server";
const OTHERWISE: &str = "install NATS 2.9 or newer (its program nats-server on PATH)";

/// On PATH, or from Debian's package.
pub(crate) fn find_or_unpack(project: &Project) -> Result<PathBuf> {
    if let Some(found) = find("nats-server") {
        return Ok(found);
    }
    let announcement = format!("Unpacking Debian's {PACKAGE} (once per machine)");
    let folder = install_once(project, &format!("debian-{PACKAGE}"), PATH, &announcement, |folder| {
        apt::unpack(PACKAGE, folder, OTHERWISE)
    })?;
    Ok(folder.join(PATH))
}
