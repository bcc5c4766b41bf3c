//! Installs or unpacks Debian packages where apt exists; elsewhere the error says what to install.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{find, output, run};
use crate::step::step;

/// Installs packages with apt, as root or through a sudo that needs no password.
///
/// `otherwise` tells users of other systems what to install.
pub(crate) fn install(packages: &[&str], otherwise: &str) -> Result<()> {
    let wanted = packages.join(" ");
    let Some(become_root) = root_prefix() else {
        bail!("{otherwise} (with apt: sudo apt-get install {wanted})");
    };
    let apt = |arguments: &[&str]| {
        let mut words = become_root.iter().copied().chain(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        let mut command = Command::new(words.next().unwrap_or("env"));
        command.args(words).args(["-qq", "-o", "Dpkg::Use-Pty=0"]).args(arguments);
        command
    };
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(packages);
    step(&format!("Installing Debian's {wanted}"), || {
        // The package lists may be missing or outdated. Fetch them only if the installation fails.
        if output(&mut apt(&arguments)).is_err() {
            run(&mut apt(&["update"]))?;
            run(&mut apt(&arguments))?;
        }
        Ok(())
    })
}

/// Unpacks a package into a folder, without its dependencies and without installing it: no service is started, and no root
/// is needed. For programs that need only the C library.
///
/// `otherwise` tells users of other systems what to install.
pub(crate) fn unpack(package: &str, folder: &Path, otherwise: &str) -> Result<()> {
    if find("apt-get").is_none() || find("dpkg-deb").is_none() {
        bail!("{otherwise}");
    }
    let download = || {
        let mut apt = Command::new("apt-get");
        apt.args(["-qq", "download", package]).current_dir(folder);
        apt
    };
    // The package lists may be missing or outdated. Only root can fetch them.
    if let Err(error) = output(&mut download()) {
        let Some(become_root) = root_prefix() else { bail!("{error:#}: {otherwise}") };
        let mut words = become_root.iter().copied().chain(["apt-get", "-qq", "update"]);
        run(Command::new(words.next().unwrap_or("env")).args(words))?;
        output(&mut download()).context(otherwise.to_owned())?;
    }
    let files = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let is_package = |file: &fs::DirEntry| file.path().extension().is_some_and(|extension| extension == "deb");
    let archive = files.into_iter().find(is_package).with_context(|| format!("apt downloaded no {package}"))?.path();
    output(Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(folder))?;
    Ok(fs::remove_file(archive)?)
}

/// The prefix that makes root run a command; `None` without root, passwordless sudo or apt.
fn root_prefix() -> Option<&'static [&'static str]> {
    find("apt-get")?;
    let am_root = output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    let sudo = || output(Command::new("sudo").args(["-n", "true"])).is_ok();
    if am_root {
        Some(&[])
    } else if sudo() {
        Some(&["sudo", "-n"])
    } else {
        None
    }
}
