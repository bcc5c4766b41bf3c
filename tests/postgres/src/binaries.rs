//! Finds PostgreSQL's programs; Debian, for example, keeps the server's outside `PATH`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

/// The programs the harness runs.
const PROGRAMS: [&str; 5] = ["initdb", "pg_ctl", "pg_isready", "postgres", "psql"];

/// The first folder with all of them: in `PATH`, then the newest of Debian's, then `pg_config`'s.
pub(crate) fn find() -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let in_path = env::split_paths(&path).collect::<Vec<_>>();
    let candidates = in_path.into_iter().chain(debian()).chain(pg_config());
    let Some(found) = candidates.into_iter().find(|folder| is_complete(folder)) else {
        bail!(
            "PostgreSQL's programs ({}) are neither in PATH nor in /usr/lib/postgresql/*/bin nor where pg_config says; \
             on Debian and Ubuntu: apt-get install postgresql",
            PROGRAMS.join(", ")
        );
    };
    Ok(found)
}

fn is_complete(folder: &Path) -> bool {
    PROGRAMS.iter().all(|program| folder.join(program).is_file())
}

fn debian() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |name: &str| name.parse::<u32>().ok();
    let mut versions: Vec<(u32, PathBuf)> =
        versions.filter_map(|entry| Some((number(entry.file_name().to_str()?)?, entry.path().join("bin")))).collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions.into_iter().map(|(_, folder)| folder).collect()
}

fn pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let folder = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(folder.trim()))
}
