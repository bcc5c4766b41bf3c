//! Failures: RFC 9457 `application/problem+json`.

use serde::{Deserialize, Serialize};

/// The body of every response that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// URI of the problem type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The problem type in words.
    pub title: String,
    /// The HTTP status of the response.
    pub status: u16,
    /// What went wrong this time, and what to do.
    pub detail: String,
    /// Stable, machine-readable code; those that clients act on are in [`codes`].
    pub code: String,
}

impl Problem {
    /// Media type of a [`Problem`].
    pub const CONTENT_TYPE: &'static str = "application/problem+json";
    /// Problem type for a server that protects its database (IETF httpapi draft on rate limit headers).
    pub const TEMPORARY_REDUCED_CAPACITY: &'static str =
        "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";
    /// Problem type for a client that exceeded its quota (same draft).
    pub const QUOTA_EXCEEDED: &'static str = "https://iana.org/assignments/http-problem-types#quota-exceeded";
}

/// The values of [`Problem::code`] that clients act on.
pub mod codes {
    /// The gate or the pool is full, or the database does not answer: 503.
    pub const DATABASE_UNAVAILABLE: &str = "database_unavailable";
    /// This client exceeded its quota: 429.
    pub const QUOTA_EXCEEDED: &str = "quota_exceeded";
    /// The last cleanup ended less than the cooldown ago: 429.
    pub const CLEANUP_COOLDOWN: &str = "cleanup_cooldown";
}
