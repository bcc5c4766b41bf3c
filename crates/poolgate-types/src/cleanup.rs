//! What a cleanup did. Closing idle connections frees none that is in use, and the report says so.

use serde::{Deserialize, Serialize};

/// Report of one cleanup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CleanupReport {
    /// What triggered it.
    pub trigger: CleanupTrigger,
    /// When it began, RFC 3339 in UTC.
    pub started_at: String,
    /// Duration in milliseconds.
    pub duration_ms: f64,
    /// Connections in use before the cleanup.
    pub checked_out_before: u32,
    /// Connections in use after the cleanup.
    pub checked_out_after: u32,
    /// Idle connections closed.
    pub idle_closed: u32,
    /// Connections in use that returned to the pool.
    pub freed: u32,
    /// Connections in use for longer than the leak threshold; the log names where each was acquired.
    pub leases_flagged: u32,
    /// Leases revoked because their holders kept them too long.
    pub revoked: u32,
    /// Statements cancelled on the database server.
    pub cancelled: u32,
    /// Sessions terminated on the database server because they were idle in a transaction.
    pub terminated: u32,
    /// Skipped steps with the reason: `revoke: not enabled (cleanup.revoke)`.
    pub skipped: Vec<String>,
    /// The report in one sentence: `0 freed, 12 leases busy`.
    pub summary: String,
}

/// What triggered a cleanup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CleanupTrigger {
    /// A person, over the force-cleanup route.
    Manual,
    /// A client on its own (`autoCleanup`), over the same route.
    Client,
    /// The pool's usage stayed above 90 %.
    Automatic,
}

impl CleanupTrigger {
    /// The trigger's name on the wire and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Client => "client",
            Self::Automatic => "automatic",
        }
    }
}
