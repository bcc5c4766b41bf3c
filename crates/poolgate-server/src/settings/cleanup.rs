//! What a cleanup of the pool may do, and when.

use std::time::Duration;

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::duration;

/// `cleanup.*`: cleaning up the pool. Steps that take a connection from its holder are off by default. If enabled,
/// automatic cleanups run them, and so do requested ones with `server.admin_token`: at most two leases, statements and
/// sessions in total per cleanup, and only those of this process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct CleanupSettings {
    /// Whether a cleanup starts automatically when the pool's usage stays critical. Default: true.
    pub automatic: bool,
    /// Minimum time between two automatic cleanups, 1 s to 1 h; doubles, up to 10 min, while they free nothing.
    /// Default: 60 s.
    #[serde(with = "duration")]
    pub cooldown: Duration,
    /// Minimum time between two requested cleanups. Default: 10 s.
    #[serde(with = "duration")]
    pub manual_cooldown: Duration,
    /// A connection in use for longer than this is reported as a possible leak. Default: 30 s.
    #[serde(with = "duration")]
    pub leak_threshold: Duration,
    /// Whether requests with the admin token also replace every connection (dispose); connections in use close on
    /// return. Default: false.
    pub dispose: bool,
    /// Whether forgotten leases are revoked: those older than `revoke_after` whose session has been idle for as long
    /// and is in no transaction. The session is terminated and its place freed; without visible sessions (SQLite,
    /// PgBouncer) the holder's next use fails. Default: false.
    pub revoke: bool,
    /// Minimum age of a revoked lease, 1 s to 24 h. Default: 5 min.
    #[serde(with = "duration")]
    pub revoke_after: Duration,
    /// Whether statements that run for longer than `cancel_after` are cancelled, unless they wait for a lock.
    /// PostgreSQL only. Default: false.
    pub cancel: bool,
    /// Minimum run time of a cancelled statement, 1 s to 24 h. Default: 60 s.
    #[serde(with = "duration")]
    pub cancel_after: Duration,
    /// Whether sessions that are idle in a transaction for longer than `terminate_after` are terminated, which rolls
    /// the transaction back. PostgreSQL only. Default: false; `database.idle_in_transaction_timeout` does it without a
    /// cleanup.
    pub terminate: bool,
    /// Minimum idle time of a terminated session, 1 s to 24 h. Default: 2 min.
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
