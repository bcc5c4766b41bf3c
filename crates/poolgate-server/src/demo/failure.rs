//! Why a request to the demo failed, and what the client is told. Details that only help an attacker stay in the log.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use poolgate_pool::AcquireError;
use tracing::{error, warn};

use crate::problem;

/// Seconds after which a client may try again when the database did not answer.
const RETRY_AFTER_SECONDS: u64 = 1;

/// Why a request failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The request cannot be understood: 400, or what its reader says.
    Malformed(StatusCode, String),
    /// It is understood, but not possible: 422.
    Invalid(String),
    /// There is no such thing: 404.
    NotFound(String),
    /// It contradicts the present state: 409 under this code.
    Conflict(&'static str, String),
    /// The data is still being made: 503.
    Starting,
    /// No connection, or the database went away: 503.
    Unavailable,
    /// A fault of the program: 500.
    Internal,
}

/// Whether the same statement may succeed in a moment: the database does not answer, or somebody else was in the way.
pub(super) fn is_temporary(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| is_temporary_code(&code)),
        _ => false,
    }
}

/// PostgreSQL's codes have five characters, SQLite's are numbers (the extended ones hold the primary one in the low byte).
fn is_temporary_code(code: &str) -> bool {
    const BUSY: u32 = 5;
    const LOCKED: u32 = 6;
    match code.parse::<u32>() {
        Ok(number) if code.len() < 5 => matches!(number & 0xff, BUSY | LOCKED),
        // Connection failures, out of resources, serialization failures and deadlocks, shutdown and start-up.
        _ => ["08", "53", "40", "57P"].iter().any(|class| code.starts_with(class)),
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        if is_temporary(&error) {
            warn!(%error, "Database error in the demo");
            Self::Unavailable
        } else {
            error!(%error, "Database error in the demo");
            Self::Internal
        }
    }
}

impl From<AcquireError> for Failure {
    fn from(error: AcquireError) -> Self {
        warn!(%error, "Connection not available for the demo");
        Self::Unavailable
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let unavailable = |detail: &str| problem::with_retry_after(problem::unavailable(detail), RETRY_AFTER_SECONDS);
        match self {
            Self::Malformed(status, detail) => problem::response(status, "invalid_request", "Invalid request", detail),
            Self::Invalid(detail) => {
                problem::response(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", "Invalid request", detail)
            }
            Self::NotFound(detail) => problem::response(StatusCode::NOT_FOUND, "not_found", "Not found", detail),
            Self::Conflict(code, detail) => problem::response(StatusCode::CONFLICT, code, "Conflict", detail),
            Self::Starting => unavailable("The demo's data is being made; try again in a few seconds."),
            Self::Unavailable => unavailable("The database is not available; try again in a moment."),
            Self::Internal => problem::response(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal_error",
                "Internal error",
                "The request could not be carried out; the server's log says why.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_by_itself_is_temporary() {
        for code in ["5", "517", "6", "262", "57P01", "57P03", "53300", "08006", "40P01"] {
            assert!(is_temporary_code(code), "{code}");
        }
        for code in ["1", "19", "1555", "42P01", "23505", "22003"] {
            assert!(!is_temporary_code(code), "{code}");
        }
    }
}
