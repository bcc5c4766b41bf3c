//! Why a request to the demo failed, and what the client is told. Details that only help an attacker stay in the log.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use poolgate_pool::AcquireError;
use tracing::{debug, error, warn};

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

/// When every request fails alike, one line tells it; the next one is due after this time.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

static TEMPORARY: Rare = Rare::new();
static FAULT: Rare = Rare::new();
static CONNECTION: Rare = Rare::new();

/// Says the same thing every few seconds only, however often it happens.
#[derive(Debug)]
struct Rare(Mutex<(Option<Instant>, u64)>);

impl Rare {
    const fn new() -> Self {
        Self(Mutex::new((None, 0)))
    }

    /// How often it was not said since it was last said, if it is to be said now.
    fn unsaid(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (said, unsaid) = &mut *state;
        if said.is_some_and(|said| now.saturating_duration_since(said) < BETWEEN_LINES) {
            *unsaid += 1;
            return None;
        }
        *said = Some(now);
        Some(std::mem::take(unsaid))
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let now = Instant::now();
        if is_temporary(&error) {
            if let Some(unsaid) = TEMPORARY.unsaid(now) {
                warn!(%error, unsaid, "Database error in the demo");
            }
            Self::Unavailable
        } else {
            if let Some(unsaid) = FAULT.unsaid(now) {
                error!(%error, unsaid, "Database error in the demo");
            }
            Self::Internal
        }
    }
}

impl From<AcquireError> for Failure {
    fn from(error: AcquireError) -> Self {
        if is_told_by_the_monitor(&error) {
            debug!(%error, "Connection not available for the demo");
        } else if let Some(unsaid) = CONNECTION.unsaid(Instant::now()) {
            warn!(%error, unsaid, "Connection not available for the demo");
        }
        Self::Unavailable
    }
}

/// A database that lets nobody in is an alert, once.
const fn is_told_by_the_monitor(error: &AcquireError) -> bool {
    matches!(
        error,
        AcquireError::Connect(_)
            | AcquireError::ConnectTimeout { .. }
            | AcquireError::LoginRefused(_)
            | AcquireError::ServerFull(_)
    )
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
    fn what_happens_to_every_request_is_one_line_in_ten_seconds() {
        let (rare, begun) = (Rare::new(), Instant::now());
        let said = (0..30_000).filter_map(|millis| rare.unsaid(begun + Duration::from_millis(millis)));
        assert_eq!(said.collect::<Vec<_>>(), [0, 9_999, 9_999]);
    }

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
