//! Memory and CPU time of a process, from Linux's /proc.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use rustix::{
    param::clock_ticks_per_second,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

/// A running process, seen from outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process(u32);

impl Process {
    pub(crate) fn of(id: u32) -> Self {
        Self(id)
    }

    /// This process.
    pub(crate) fn own() -> Self {
        Self(std::process::id())
    }

    /// Resident memory in bytes, without socket buffers, which belong to the system.
    pub(crate) fn resident_bytes(self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.0);
        let text = fs::read_to_string(&path).with_context(|| format!("{path}: this benchmark needs Linux"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kibibytes * 1024)
    }

    /// CPU time of all its threads, including the system's work for it.
    pub(crate) fn cpu_time(self) -> Result<Duration> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.0))?;
        // The name before the last parenthesis may contain spaces; `utime` is the 12th field after it.
        let (_, fields) = text.rsplit_once(')').context("no name")?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        Ok(Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64))
    }
}

/// Memory of all TCP sockets of this machine, in bytes.
pub(crate) fn socket_bytes() -> Result<u64> {
    let text = fs::read_to_string("/proc/net/sockstat")?;
    let line = text.lines().find(|line| line.starts_with("TCP:")).context("no TCP")?;
    let pages: u64 = line.rsplit(' ').next().context("no mem")?.parse()?;
    Ok(pages * rustix::param::page_size() as u64)
}

/// Raises the limit of open files to the maximum for this process.
pub(crate) fn raise_file_limit(needed: u64) -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    anyhow::ensure!(
        maximum.is_none_or(|maximum| maximum >= needed),
        "{needed} open files are needed, but only {maximum:?} are allowed: raise ulimit -Hn"
    );
    Ok(())
}
