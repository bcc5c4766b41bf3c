//! Logs: JSON lines on stderr, or plain text on a terminal.

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, fmt};

/// Installs the process's log subscriber. `RUST_LOG` filters (default: `info`, `warn` for sqlx, and nothing of async-nats:
/// the cluster says itself when its store is lost). A second call does nothing.
pub fn init() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn,async_nats=off"));
    // When the reader of stderr is gone, a message about that on stderr would be a panic.
    let builder = fmt().with_env_filter(filter).with_writer(io::stderr).log_internal_errors(false);
    // Fails only if the embedding process has installed its own subscriber, which then stays.
    let _ = if io::stdout().is_terminal() {
        builder.with_ansi(io::stderr().is_terminal()).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
}
