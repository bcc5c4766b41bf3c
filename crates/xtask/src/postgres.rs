//! PostgreSQL's server programs and PgBouncer; the tests start private servers from them and stop them again.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use crate::apt;
use crate::process::find;

const OTHERWISE: &str = "install PostgreSQL 14 or newer (its server programs initdb and pg_ctl on PATH)";

const WITHOUT_POOLER: &str = "install PgBouncer (its program pgbouncer on PATH)";

/// Makes sure that there are initdb and pg_ctl.
pub(crate) fn find_or_install() -> Result<()> {
    if !is_there() {
        apt::install(&["postgresql"], OTHERWISE)?;
        if !is_there() {
            bail!(OTHERWISE);
        }
    }
    Ok(())
}

/// Makes sure that there is pgbouncer.
pub(crate) fn find_or_install_pooler() -> Result<()> {
    if !pooler_is_there() {
        apt::install(&["pgbouncer"], WITHOUT_POOLER)?;
        if !pooler_is_there() {
            bail!(WITHOUT_POOLER);
        }
    }
    Ok(())
}

/// On PATH, or where Debian puts what administrators run, which is not on everybody's.
fn pooler_is_there() -> bool {
    find("pgbouncer").is_some() || Path::new("/usr/sbin/pgbouncer").exists()
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
