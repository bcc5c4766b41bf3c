//! What a cleanup did, honestly: closing idle connections frees none that is in use.

use serde::{Deserialize, Serialize};

/// Report of one cleanup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CleanupReport {
    /// What asked for it.
    pub trigger: CleanupTrigger,
    /// When it began, RFC 3339 in UTC.
    pub started_at: String,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
    /// Connections in use before.
    pub checked_out_before: u32,
    /// Connections in use after.
    pub checked_out_after: u32,
    /// Idle connections that were closed.
    pub idle_closed: u32,
    /// Connections in use that the cleanup gave back to the pool.
    pub freed: u32,
    /// Connections in use for longer than the leak threshold; each is in the log with its place.
    pub leases_flagged: u32,
    /// Leases that were taken away from holders who had forgotten them.
    pub revoked: u32,
    /// Statements that were cancelled on the database server.
    pub cancelled: u32,
    /// Sessions that were ended on the database server because they idled in a transaction.
    pub terminated: u32,
    /// Steps that were not taken, and why: `revoke: not enabled (cleanup.revoke)`.
    pub skipped: Vec<String>,
    /// The report in one sentence: `0 freed, 12 leases busy`.
    pub summary: String,
}

/// What asked for a cleanup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CleanupTrigger {
    /// The force-cleanup route.
    Manual,
    /// The pool's usage stayed above 90 %.
    Automatic,
}

impl CleanupTrigger {
    /// The trigger as it stands on the wire and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Automatic => "automatic",
        }
    }
}
