//! Which core does what, and how much time and memory it takes.

use std::time::Duration;

use anyhow::{Context, Result};

/// The processors that this process may use.
#[cfg(target_os = "linux")]
pub(crate) fn available() -> Result<Vec<usize>> {
    use rustix::thread::{CpuSet, sched_getaffinity};
    let set = sched_getaffinity(None).context("sched_getaffinity")?;
    Ok((0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect())
}

/// Keeps this thread, and the processes that it starts from now on, on these processors.
#[cfg(target_os = "linux")]
pub(crate) fn pin(cpus: &[usize]) -> Result<()> {
    use rustix::thread::{CpuSet, sched_setaffinity};
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu);
    }
    sched_setaffinity(None, &set).with_context(|| format!("sched_setaffinity {cpus:?}"))
}

/// Does something that starts processes, and lets them have these processors.
pub(crate) fn pinned<T>(cpus: &[usize], start: impl FnOnce() -> T) -> Result<T> {
    let before = available()?;
    pin(cpus)?;
    let started = start();
    pin(&before)?;
    Ok(started)
}

/// The time that processors have spent on this process.
#[cfg(target_os = "linux")]
pub(crate) fn time_used() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// How long this process's first thread, which is all of a load generator, was ready to run while its processor did
/// something else. Zero where the kernel does not say.
pub(crate) fn time_waited() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split_whitespace().nth(1).and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

/// The processor time that another process has used, all of its threads together, in seconds.
#[cfg(target_os = "linux")]
pub(crate) fn seconds_used_by(process: u32) -> Result<f64> {
    /// In proc_pid_stat(5): `utime` and `stime`, counted from the field behind the name.
    const TIMES: std::ops::Range<usize> = 11..13;
    let text = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = text.rsplit_once(')').context("/proc/PID/stat has no name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = fields.get(TIMES).context("/proc/PID/stat is short")?.iter().map(|field| field.parse::<u64>());
    let ticks: u64 = ticks.sum::<Result<u64, _>>()?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Another process's memory (RSS), in MiB.
pub(crate) fn memory_of(process: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("/proc/PID/status has no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

#[cfg(not(target_os = "linux"))]
compile_error!("the lab pins processes to cores and gives each user a loopback address of its own: it needs Linux");
