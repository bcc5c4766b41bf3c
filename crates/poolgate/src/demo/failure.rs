//! Errors of demo requests and their answers. Details that would only help an attacker stay in the log.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use poolgate_pool::AcquireError;
use poolgate_server::problem;
use sqlx::{error::DatabaseError, postgres::PgDatabaseError};
use tracing::{debug, error, warn};

/// Seconds after which a client may try again when the database did not answer.
const RETRY_AFTER_SECONDS: u64 = 1;

/// Why a request failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The request is malformed: 400, or the status of the parser's error.
    Malformed(StatusCode, String),
    /// The request is well-formed but invalid: 422.
    Invalid(String),
    /// The resource does not exist: 404.
    NotFound(String),
    /// The request conflicts with the present state: 409 with this code.
    Conflict(&'static str, String),
    /// The data is still being created: 503.
    Starting,
    /// No connection, or the connection broke: 503.
    Unavailable,
    /// An internal error: 500.
    Internal,
}

/// Whether the same statement may succeed later without a change to the program: the database does not answer or
/// rejects writes, another session held a lock, or the session's cached state was outdated.
pub(super) fn is_temporary(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| is_temporary_code(&code) || &*code == "0A000" && is_old_plan(&**error))
        }
        _ => false,
    }
}

/// PostgreSQL's codes have five characters. SQLite's are numbers; the low byte of an extended code is the primary code.
fn is_temporary_code(code: &str) -> bool {
    const BUSY: u32 = 5;
    const LOCKED: u32 = 6;
    const READONLY: u32 = 8;
    const FULL: u32 = 13;
    const SCHEMA: u32 = 17;
    match code.parse::<u32>() {
        Ok(number) if code.len() < 5 => matches!(number & 0xff, BUSY | LOCKED | READONLY | FULL | SCHEMA),
        // Connection failures, out of resources (also a full disk), serialization failures and deadlocks, shutdown and
        // start-up; a server that rejects writes; a session that was terminated for idling; a lock that another session
        // holds; a prepared statement that the session does not know, or another one of the same name.
        _ => ["08", "53", "40", "57P", "25006", "25P03", "25P04", "55P03", "26000", "42P05"]
            .iter()
            .any(|class| code.starts_with(class)),
    }
}

/// Whether a table was changed under a prepared statement; the pool renews the connection. Works for messages in any
/// language.
fn is_old_plan(error: &dyn DatabaseError) -> bool {
    let routine = error.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::routine);
    routine.is_some_and(|routine| routine.starts_with("RevalidateCached"))
        || error.message().starts_with("cached plan must not change result type")
}

/// If every request fails alike, one line is logged per this time.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

static TEMPORARY: Rare = Rare::new();
static FAULT: Rare = Rare::new();
static CONNECTION: Rare = Rare::new();

/// Limits a repeated message to one in a few seconds.
#[derive(Debug)]
struct Rare(Mutex<(Option<Instant>, u64)>);

impl Rare {
    const fn new() -> Self {
        Self(Mutex::new((None, 0)))
    }

    /// If the message is due: how often it was suppressed since the last time.
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
            debug!(%error, "No database connection for the demo");
        } else if let Some(unsaid) = CONNECTION.unsaid(Instant::now()) {
            warn!(%error, unsaid, "No database connection for the demo");
        }
        Self::Unavailable
    }
}

/// A refused login is already reported by an alert.
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
            Self::Starting => unavailable("The demo data is being created; try again in a few seconds."),
            Self::Unavailable => unavailable("The database is not available; try again in a moment."),
            Self::Internal => problem::response(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal_error",
                "Internal error",
                "The request failed; the server's log says why.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_error_is_logged_once_in_ten_seconds() {
        let (rare, begun) = (Rare::new(), Instant::now());
        let said = (0..30_000).filter_map(|millis| rare.unsaid(begun + Duration::from_millis(millis)));
        assert_eq!(said.collect::<Vec<_>>(), [0, 9_999, 9_999]);
    }

    #[test]
    fn only_errors_that_pass_by_themselves_are_temporary() {
        for code in [
            "5", "517", "6", "262", "8", "1032", "13", "17", "57P01", "57P02", "57P03", "53100", "53300", "08006",
            "40001", "40P01", "25006", "25P03", "55P03", "26000", "42P05",
        ] {
            assert!(is_temporary_code(code), "{code}");
        }
        for code in ["1", "19", "1555", "42P01", "23505", "22003", "25001", "55000", "0A000", "57014", "42501"] {
            assert!(!is_temporary_code(code), "{code}");
        }
    }

    /// An error in PostgreSQL's form.
    #[derive(Debug, thiserror::Error)]
    #[error("{1}")]
    struct Told(&'static str, &'static str);

    impl DatabaseError for Told {
        fn message(&self) -> &str {
            self.1
        }

        fn code(&self) -> Option<std::borrow::Cow<'_, str>> {
            Some(self.0.into())
        }

        fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> sqlx::error::ErrorKind {
            sqlx::error::ErrorKind::Other
        }
    }

    #[test]
    fn temporary_errors_are_answered_503_with_retry_after() {
        let answer = |code, message| Failure::from(sqlx::Error::from(Told(code, message))).into_response();
        for (code, message) in [
            ("25006", "cannot execute INSERT in a read-only transaction"),
            ("53100", "could not extend file"),
            ("55P03", "canceling statement due to lock timeout"),
            ("57P01", "terminating connection due to administrator command"),
            ("0A000", "cached plan must not change result type"),
            ("26000", "prepared statement \"sqlx_s_1\" does not exist"),
            ("40001", "could not serialize access due to concurrent update"),
            ("5", "database is locked"),
        ] {
            let answer = answer(code, message);
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{code}");
            assert!(answer.headers().contains_key("retry-after"), "{code}");
        }
        for (code, message) in [("0A000", "FOR UPDATE is not allowed with DISTINCT"), ("23505", "duplicate key")] {
            assert_eq!(answer(code, message).status(), StatusCode::INTERNAL_SERVER_ERROR, "{code}");
        }
    }
}
