//! How many instructions a program takes for one more turn: exact where the clock is noise.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::apt;
use crate::process::{find, run};

const FEW: u64 = 2_000;
const MANY: u64 = 12_000;

/// Instructions of one turn of `program --count N`: two runs under valgrind's callgrind, and their difference without
/// what both have done besides. Installs valgrind where that is possible; fails where it is not.
pub(crate) fn per_turn(program: &Path, folder: &Path) -> Result<u64> {
    if find("valgrind").is_none() {
        apt::install(&["valgrind"], "install valgrind")?;
    }
    fs::create_dir_all(folder)?;
    let (few, many) = (total(program, folder, FEW)?, total(program, folder, MANY)?);
    Ok(many.saturating_sub(few) / (MANY - FEW))
}

fn total(program: &Path, folder: &Path, turns: u64) -> Result<u64> {
    let profile = folder.join(format!("callgrind.{turns}"));
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--quiet", "--tool=callgrind"]).arg(format!("--callgrind-out-file={}", profile.display()));
    run(valgrind.arg(program).args(["--count", &turns.to_string()]))?;
    let profile = fs::read_to_string(profile)?;
    let total = profile.lines().find_map(|line| line.strip_prefix("totals: "));
    Ok(total.context("callgrind wrote no totals")?.trim().parse()?)
}
