//! SIGTERM and SIGINT: the first begins the shutdown, the second ends the process.

use std::io;

use crate::Poolgate;

/// The exit status of a process that a second signal ended.
const IMPATIENT: i32 = 130;

/// Closes `poolgate` at the first signal.
pub(super) fn on_signal(poolgate: Poolgate) -> io::Result<()> {
    let mut signals = Signals::new()?;
    tokio::spawn(async move {
        signals.next().await;
        tracing::info!("Poolgate stops: event streams end, requests in flight may finish");
        poolgate.close();
        drop(poolgate);
        signals.next().await;
        tracing::warn!("Poolgate stops at once: second signal");
        std::process::exit(IMPATIENT);
    });
    Ok(())
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
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
