//! The program's health once a second, by its own status and by the kernel.

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use poolgate_native::HttpClient;
use poolgate_types::{Status, routes};
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval_at};

/// Deadline of a request that costs no query.
const PATIENCE: Duration = Duration::from_secs(2);

/// One reading.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Vital {
    /// Seconds since the honest clients began.
    pub second: u32,
    /// The process id; 0 while the process is being replaced.
    pub process: u32,
    /// Whether the process exists.
    pub runs: bool,
    /// Whether `/livez` answers.
    pub lives: bool,
    /// Its status; absent while it does not answer.
    pub said: Option<Said>,
    /// Its use of resources; absent where the kernel does not tell.
    pub used: Option<Used>,
}

/// From the status document.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Said {
    /// The throttling level.
    pub level: String,
    /// Requests in flight.
    pub in_flight: u32,
    /// The most requests in flight.
    pub permits: u32,
    /// Requests that wait at the gate.
    pub at_gate: u32,
    /// Connections in use.
    pub checked_out: u32,
    /// Requests that wait for a connection.
    pub at_pool: u32,
}

/// A process's use of resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Used {
    /// Resident memory.
    pub memory_kib: u64,
    /// Threads.
    pub threads: u64,
    /// Open descriptors.
    pub descriptors: u64,
}

/// All readings so far.
#[derive(Clone, Debug, Default)]
pub struct Vitals(Arc<Mutex<Vec<Vital>>>);

impl Vitals {
    /// Takes a reading every second, for ever.
    pub async fn watch(self, target: SocketAddr, process: Arc<AtomicU32>, started: Instant) {
        let http = HttpClient::new(target);
        let mut beat = interval_at(started.into(), Duration::from_secs(1));
        beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            beat.tick().await;
            let second = started.elapsed().as_secs() as u32;
            let deadline = Instant::now() + PATIENCE;
            let (livez, status) = tokio::join!(http.get(routes::LIVEZ, deadline), http.get(routes::STATUS, deadline));
            let lives = livez.is_ok_and(|answer| answer.status.is_success());
            let said = status
                .ok()
                .and_then(|answer| serde_json::from_slice(&answer.body).ok())
                .map(|status| Said::of(&status));
            let process = process.load(Relaxed);
            let used = (process != 0).then(|| Used::by(process)).flatten();
            self.lock().push(Vital { second, process, runs: process == 0 || used.is_some(), lives, said, used });
        }
    }

    /// All readings so far.
    #[must_use]
    pub fn all(&self) -> Vec<Vital> {
        self.lock().clone()
    }

    /// The newest reading.
    #[must_use]
    pub fn newest(&self) -> Vital {
        self.lock().last().cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vital>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Said {
    /// The fields of a status document that matter here.
    #[must_use]
    pub fn of(status: &Status) -> Self {
        let gate = status.gate.as_ref();
        Self {
            level: serde_json::to_value(status.throttling_level)
                .ok()
                .and_then(|level| Some(level.as_str()?.to_owned()))
                .unwrap_or_default(),
            in_flight: gate.map_or(0, |gate| gate.in_flight),
            permits: gate.map_or(0, |gate| gate.max_concurrent_requests),
            at_gate: gate.map_or(0, |gate| gate.waiting),
            checked_out: status.pool.checked_out,
            at_pool: status.pool.waiting.unwrap_or(0),
        }
    }

    /// Whether nothing is in flight, waiting or checked out.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        [self.in_flight, self.at_gate, self.checked_out, self.at_pool] == [0; 4]
    }
}

impl Used {
    /// The resources of a running process; a zombie has none.
    fn by(process: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let descriptors = fs::read_dir(format!("/proc/{process}/fd")).ok()?.count() as u64;
        Some(Self { memory_kib: field("VmRSS")?, threads: field("Threads")?, descriptors })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_what_this_process_uses() {
        let used = Used::by(std::process::id()).expect("this process runs");
        assert!(used.memory_kib > 1_000 && used.threads >= 1 && used.descriptors >= 3, "{used:?}");
        assert_eq!(Used::by(u32::MAX), None);
    }
}
