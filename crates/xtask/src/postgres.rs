//! PostgreSQL's server programs; the tests start a private server from them and stop it again.

use std::fs;

use anyhow::{Result, bail};

use crate::apt;
use crate::process::find;

const OTHERWISE: &str = "install PostgreSQL 14 or newer (its server programs initdb and pg_ctl on PATH)";

/// Makes sure that there are initdb and pg_ctl.
pub(crate) fn find_or_install() -> Result<()> {
    if is_there() {
        return Ok(());
    }
    apt::install(&["postgresql"], OTHERWISE)?;
    if !is_there() {
        bail!(OTHERWISE);
    }
    Ok(())
}

/// On PATH, or where Debian keeps them: in /usr/lib/postgresql/VERSION/bin.
fn is_there() -> bool {
    let of_debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let complete = |version: fs::DirEntry| {
        let programs = version.path().join("bin");
        programs.join("initdb").exists() && programs.join("pg_ctl").exists()
    };
    (find("initdb").is_some() && find("pg_ctl").is_some()) || of_debian.into_iter().any(complete)
}
