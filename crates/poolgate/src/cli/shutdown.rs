//! SIGTERM, SIGINT and SIGHUP: the first begins the shutdown, the second ends the process. SIGUSR1 and SIGUSR2, which other
//! servers have uses for, do nothing here.

use std::io;

use poolgate_server::Poolgate;

/// The exit status of a process that a second signal ended.
const IMPATIENT: i32 = 130;

/// Announces the end of `poolgate` at the first signal, and closes it `server.drain_delay` later.
pub(super) fn on_signal(poolgate: Poolgate) -> io::Result<()> {
    let mut signals = Signals::new()?;
    tokio::spawn(async move {
        signals.next().await;
        let delay = poolgate.settings().server.drain_delay;
        if !delay.is_zero() {
            tracing::info!(?delay, "Poolgate will stop: /readyz answers 503, all else goes on for server.drain_delay");
        }
        poolgate.announce_shutdown();
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = signals.next() => stop_at_once(),
        }
        tracing::info!("Poolgate stops: event streams end, requests in flight may finish");
        poolgate.close();
        drop(poolgate);
        signals.next().await;
        stop_at_once();
    });
    Ok(())
}

fn stop_at_once() -> ! {
    tracing::warn!("Poolgate stops at once: second signal");
    std::process::exit(IMPATIENT);
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    /// The terminal is closed. `None` where whoever started the process has it ignored (nohup).
    hang_up: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let hang_up = SignalKind::hangup();
        let hang_up = if is_ignored(hang_up.as_raw_value()) { None } else { Some(signal(hang_up)?) };
        // A handler stays when what it was made for is dropped; without one these signals would end the process.
        for unused in [SignalKind::user_defined1(), SignalKind::user_defined2()] {
            drop(signal(unused)?);
        }
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())?, hang_up })
    }

    async fn next(&mut self) {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = hang_up => {}
        }
    }
}

/// Whether the process was started with this signal ignored. Only Linux tells without unsafe code.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    ignored & 1 << (signal - 1) != 0
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        // Fails only where the handler cannot be installed; then there is no signal to wait for.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
