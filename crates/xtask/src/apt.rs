//! Installs Debian packages where apt exists; elsewhere the error says what to install.

use std::process::Command;

use anyhow::{Result, bail};

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
