//! Finds HAProxy and nginx, beside which the gateway is measured and tested.

use std::path::Path;

use anyhow::{Result, bail};

use crate::apt;
use crate::process::find;

const OTHERWISE: &str = "install HAProxy and nginx (their programs haproxy and nginx on PATH)";

/// Installs the programs that are missing.
pub(crate) fn find_or_install() -> Result<()> {
    if !are_there() {
        apt::install(&["haproxy", "nginx-light"], OTHERWISE)?;
        if !are_there() {
            bail!(OTHERWISE);
        }
    }
    Ok(())
}

/// On PATH, or in Debian's folder for administrators, which is not on every user's PATH.
fn are_there() -> bool {
    ["haproxy", "nginx"].iter().all(|program| find(program).is_some() || Path::new("/usr/sbin").join(program).exists())
}
