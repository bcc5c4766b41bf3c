//! Failures: RFC 9457 `application/problem+json`.

use serde::{Deserialize, Serialize};

/// The body of every response that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Identifies the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status, the same as the response's.
    pub status: u16,
    /// This occurrence in words, with what to do.
    pub detail: String,
    /// Stable and machine-readable, one of [`codes`].
    pub code: String,
}

impl Problem {
    /// Media type of the document.
    pub const CONTENT_TYPE: &'static str = "application/problem+json";
    /// Problem type of a server that protects its database (IETF httpapi draft, rate limit headers).
    pub const TEMPORARY_REDUCED_CAPACITY: &'static str =
        "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";
    /// Problem type of a client that sent more than its share (the same draft).
    pub const QUOTA_EXCEEDED: &'static str = "https://iana.org/assignments/http-problem-types#quota-exceeded";
}

/// The values of [`Problem::code`] that clients act on.
pub mod codes {
    /// The gate or the pool is full, or the database does not answer: 503.
    pub const DATABASE_UNAVAILABLE: &str = "database_unavailable";
    /// This client sent more than its share: 429.
    pub const QUOTA_EXCEEDED: &str = "quota_exceeded";
    /// A cleanup ran a moment ago: 429.
    pub const CLEANUP_COOLDOWN: &str = "cleanup_cooldown";
}
