//! SIGTERM and SIGINT: the first one begins the shutdown, the second one ends the process. SIGHUP does the same if the
//! terminal was closed or there is no settings file; otherwise the file is read again. SIGUSR1 and SIGUSR2, which other
//! servers use, do nothing.

use std::io::{self, IsTerminal};

use poolgate_server::Poolgate;

use super::reload::Reload;

/// Exit status after a second signal.
const IMPATIENT: i32 = 130;

/// Announces the shutdown of `poolgate` at the first signal, and closes it `server.drain_delay` later. Calls `reload` for
/// each signal that asks for that.
pub(super) fn on_signal(poolgate: Poolgate, reload: Option<Reload>) -> io::Result<()> {
    let mut signals = Stops { signals: Signals::new()?, reload, has_terminal: io::stdin().is_terminal() };
    tokio::spawn(async move {
        signals.next().await;
        let delay = poolgate.settings().server.drain_delay;
        if !delay.is_zero() {
            tracing::info!(
                ?delay,
                "Poolgate will stop: /readyz answers 503, all other routes work until server.drain_delay ends"
            );
        }
        poolgate.announce_shutdown();
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = signals.next() => stop_at_once(),
        }
        tracing::info!("Poolgate is stopping: event streams end, requests in flight may finish");
        poolgate.close();
        drop(poolgate);
        signals.next().await;
        stop_at_once();
    });
    Ok(())
}

/// The signals that stop the server.
struct Stops {
    signals: Signals,
    reload: Option<Reload>,
    /// The process was started in a terminal.
    has_terminal: bool,
}

impl Stops {
    async fn next(&mut self) {
        while let (Signal::HangUp, Some(reload)) = (self.signals.next().await, &self.reload) {
            if self.has_terminal && !io::stdin().is_terminal() {
                return;
            }
            reload.run();
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    Stop,
    #[cfg_attr(not(unix), expect(dead_code, reason = "only Unix has it"))]
    HangUp,
}

fn stop_at_once() -> ! {
    tracing::warn!("Poolgate stops at once after a second signal");
    std::process::exit(IMPATIENT);
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    /// The terminal was closed. `None` if the parent process ignores it (nohup).
    hang_up: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let hang_up = SignalKind::hangup();
        let hang_up = if is_ignored(hang_up.as_raw_value()) { None } else { Some(signal(hang_up)?) };
        // The handlers stay installed when these are dropped; without them the signals would end the process.
        for unused in [SignalKind::user_defined1(), SignalKind::user_defined2()] {
            drop(signal(unused)?);
        }
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())?, hang_up })
    }

    async fn next(&mut self) -> Signal {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = hang_up => Signal::HangUp,
        }
    }
}

/// Whether the process was started with this signal ignored. Known only on Linux without unsafe code.
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

    async fn next(&mut self) -> Signal {
        // Fails only if the handler cannot be installed; then wait for ever.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Signal::Stop
    }
}
