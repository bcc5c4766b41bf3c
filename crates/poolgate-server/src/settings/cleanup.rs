//! What a cleanup of the pool may do, and when.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::duration;

/// `cleanup.*`: cleaning the pool up. What takes a connection away from its holder is off unless it is opted in; then
/// automatic cleanups do it, and those that are asked for with `server.admin_token`: at most two leases, statements and
/// sessions all together at a time, and only those of this process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CleanupSettings {
    /// Whether a cleanup starts by itself when the pool's usage stays critical. Default: true.
    pub automatic: bool,
    /// Shortest time between two automatic cleanups, 1 s to 1 h; it doubles, up to 10 min, while they free nothing.
    /// Default: 60 s.
    #[serde(with = "duration")]
    pub cooldown: Duration,
    /// Shortest time between two cleanups that were asked for. Default: 10 s.
    #[serde(with = "duration")]
    pub manual_cooldown: Duration,
    /// A connection in use for longer than this is reported as a possible leak. Default: 30 s.
    #[serde(with = "duration")]
    pub leak_threshold: Duration,
    /// Whether the admin token may also replace every connection (dispose): busy ones close when they come back.
    /// Default: false.
    pub dispose: bool,
    /// Whether leases are taken away from holders who have forgotten them: those older than `revoke_after` whose session
    /// has done nothing for as long and is in no transaction. The session is ended and its place taken back; without
    /// sessions to look at (SQLite, PgBouncer) the holder's next use fails. Default: false.
    pub revoke: bool,
    /// 1 s to 24 h. Default: 5 min.
    #[serde(with = "duration")]
    pub revoke_after: Duration,
    /// Whether statements that have run for longer than `cancel_after` are cancelled, unless they wait for a lock.
    /// PostgreSQL only. Default: false.
    pub cancel: bool,
    /// 1 s to 24 h. Default: 60 s.
    #[serde(with = "duration")]
    pub cancel_after: Duration,
    /// Whether sessions that have idled in a transaction for longer than `terminate_after` are ended; what they did in
    /// it is undone. PostgreSQL only. Default: false; `database.idle_in_transaction_timeout` does it without a cleanup.
    pub terminate: bool,
    /// 1 s to 24 h. Default: 2 min.
    #[serde(with = "duration")]
    pub terminate_after: Duration,
}

impl Default for CleanupSettings {
    fn default() -> Self {
        Self {
            automatic: true,
            cooldown: Duration::from_secs(60),
            manual_cooldown: Duration::from_secs(10),
            leak_threshold: Duration::from_secs(30),
            dispose: false,
            revoke: false,
            revoke_after: Duration::from_secs(300),
            cancel: false,
            cancel_after: Duration::from_secs(60),
            terminate: false,
            terminate_after: Duration::from_secs(120),
        }
    }
}
