//! Finds the programs of PostgreSQL and PgBouncer; the tests start private servers from them.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use crate::apt;
use crate::process::find;

const OTHERWISE: &str = "install PostgreSQL 14 or newer (its server programs initdb and pg_ctl on PATH)";

const WITHOUT_POOLER: &str = "install PgBouncer (its program pgbouncer on PATH)";

/// Installs initdb and pg_ctl if they are missing.
pub(crate) fn find_or_install() -> Result<()> {
    if !is_there() {
        apt::install(&["postgresql"], OTHERWISE)?;
        if !is_there() {
            bail!(OTHERWISE);
        }
    }
    Ok(())
}

/// Installs pgbouncer if it is missing.
pub(crate) fn find_or_install_pooler() -> Result<()> {
    if !pooler_is_there() {
        apt::install(&["pgbouncer"], WITHOUT_POOLER)?;
        if !pooler_is_there() {
            bail!(WITHOUT_POOLER);
        }
    }
    Ok(())
}

/// On PATH, or in Debian's folders for administrators, which are not on every user's PATH.
fn pooler_is_there() -> bool {
    find("pgbouncer").is_some() || Path::new("/usr/sbin/pgbouncer").exists()
}

/// On PATH, or in Debian's /usr/lib/postgresql/VERSION/bin.
fn is_there() -> bool {
    let of_debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let complete = |version: fs::DirEntry| {
        let programs = version.path().join("bin");
        programs.join("initdb").exists() && programs.join("pg_ctl").exists()
    };
    (find("initdb").is_some() && find("pg_ctl").is_some()) || of_debian.into_iter().any(complete)
}
