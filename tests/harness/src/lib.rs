//! What tests of several crates share: a [`Server`] over SQLite, called in process; one PostgreSQL for all tests of a
//! process, with poolers ([`sources`]); an HAProxy; and [`eventually`]. Every function panics when something fails, because then
//! the test has failed.

#[cfg(unix)]
pub mod haproxy;
mod server;
pub mod sources;

use std::time::{Duration, Instant};

pub use self::server::{Answer, Server, server, server_with};

/// Longer than any wait in these tests.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Waits until `condition` holds, for at most [`PATIENCE`].
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "not {what} within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
