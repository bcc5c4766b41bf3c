//! Why a caller gets no connection. Each cause has its own variant, because each has its own remedy.

use std::fmt::{self, Display};
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::purpose::Purpose;

/// Why [`acquire`](crate::Pool::acquire) returned no connection.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AcquireError {
    /// No connection became free within [`acquire_timeout`](crate::PoolConfig::acquire_timeout); the diagnosis says why.
    #[error("{0}")]
    Timeout(Box<Diagnosis>),
    /// The connect failed: the database does not answer, or not yet. During the short pause after a failure further
    /// callers get the same error at once if the pool has no other connection to wait for.
    #[error("cannot connect to the database: {0}")]
    Connect(#[source] Arc<sqlx::Error>),
    /// Opening a connection took longer than [`connect_timeout`](crate::PoolConfig::connect_timeout).
    #[error("the database did not accept a connection within {:.3} s", limit.as_secs_f64())]
    ConnectTimeout {
        /// The limit that was exceeded.
        limit: Duration,
    },
    /// The database answers and refuses the login: a wrong password, an unknown user or database, or unsupported start-up
    /// parameters. Connects keep failing until this is corrected.
    #[error("the database refuses the login: {0}")]
    LoginRefused(#[source] Arc<sqlx::Error>),
    /// The database server has no free connection slot (PostgreSQL's `53300`). Its limit is too low for the pools that
    /// share it, or other clients hold the slots. Retrying at once makes it worse.
    #[error("the database server has no free connection slot: {0}")]
    ServerFull(#[source] Arc<sqlx::Error>),
    /// [`max_waiting`](crate::PoolConfig::max_waiting) callers are already waiting.
    #[error("{limit} callers are already waiting for a connection")]
    QueueFull {
        /// The limit that was reached.
        limit: u32,
    },
    /// The pool is closed ([`drain`](crate::Pool::drain)).
    #[error("the connection pool is closed")]
    Closed,
    /// The call was made outside a tokio runtime.
    #[error("a connection can only be acquired within a tokio runtime")]
    NoRuntime,
}

/// The pool at the moment when a caller's wait timed out.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Diagnosis {
    /// How long the caller had waited.
    pub waited: Duration,
    /// Connections in use.
    pub checked_out: u32,
    /// Connections that were idle; above zero only for a moment.
    pub idle: u32,
    /// Connections being opened.
    pub connecting: u32,
    /// Connections being verified or closed.
    pub closing: u32,
    /// Other callers that were waiting.
    pub waiting: u32,
    /// The most connections that may exist.
    pub capacity: u32,
    /// The oldest checkout: its age, and the line of code that acquired it.
    pub oldest_lease: Option<(Duration, &'static Location<'static>)>,
    /// What it was acquired for, if its task has a [`Purpose`].
    pub oldest_purpose: Option<Purpose>,
    /// Holders of a connection that wait for another one at the same time, as far as that is known: by the same tokio task
    /// or the same [trace](Purpose::with_trace_id). If all holders do, none can continue.
    pub holders_waiting: u32,
    /// The newest failure to connect, if no connect has succeeded since.
    pub connect_error: Option<Arc<str>>,
}

impl Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { checked_out, capacity, idle, connecting, closing, waiting, .. } = self;
        write!(
            f,
            "no connection within {:.3} s: {checked_out} of {capacity} connections in use, \
             {idle} idle, {connecting} connecting, {closing} closing, {waiting} other callers waiting",
            self.waited.as_secs_f64()
        )?;
        if let Some((age, place)) = self.oldest_lease {
            write!(f, "; the oldest is in use for {:.1} s, acquired at {place}", age.as_secs_f64())?;
            if let Some(purpose) = &self.oldest_purpose {
                write!(f, " for {}", purpose.route())?;
            }
        }
        if self.holders_waiting > 0 {
            write!(
                f,
                "; {} of the holders wait for another connection themselves: use the connection that is held, or acquire \
                 none while holding one",
                self.holders_waiting
            )?;
        }
        if let Some(error) = &self.connect_error {
            write!(f, "; the last attempt to connect failed: {error}")?;
        }
        Ok(())
    }
}

impl AcquireError {
    /// Classifies a failed connect by its remedy.
    ///
    /// | variant | PostgreSQL's codes |
    /// |---|---|
    /// | [`ServerFull`](Self::ServerFull) | 53300 `too_many_connections`, reserved slots included |
    /// | [`LoginRefused`](Self::LoginRefused) | class 28 (invalid authorization), 3D000 (no such database), 42501 (no right to connect), 22023, 42704 and 0A000 (start-up parameters) |
    /// | [`Connect`](Self::Connect) | all others, such as 57P03 (starting up), and errors that are no answer of the server |
    ///
    /// PgBouncer reports most errors as 08P01 (protocol violation); there the message decides.
    #[must_use]
    pub fn from_connect(error: sqlx::Error) -> Self {
        let classified = error.as_database_error().map(|error| {
            let code = error.code().unwrap_or_default();
            match &*code {
                "53300" => Self::ServerFull as fn(_) -> _,
                "3D000" | "42501" | "22023" | "42704" | "0A000" => Self::LoginRefused,
                code if code.len() == 5 && code.starts_with("28") => Self::LoginRefused,
                "08P01" if is_pooler_full(error.message()) => Self::ServerFull,
                "08P01" if is_pooler_refusal(error.message()) => Self::LoginRefused,
                _ => Self::Connect,
            }
        });
        classified.unwrap_or(Self::Connect)(Arc::new(error))
    }

    /// Whether the database itself answered. Another attempt then burdens the database and does not help.
    pub(crate) fn is_answer(&self) -> bool {
        matches!(self, Self::ServerFull(_) | Self::LoginRefused(_))
    }
}

/// PgBouncer at its `max_client_conn`.
fn is_pooler_full(message: &str) -> bool {
    message.contains("no more connections allowed")
}

/// PgBouncer refuses the user, the password or the database, for itself or for the server.
fn is_pooler_refusal(message: &str) -> bool {
    ["authentication failed", "no such user", "no such database", "does not exist", "is disabled"]
        .iter()
        .any(|part| message.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_reads_as_a_diagnosis() {
        let place = Location::caller();
        let error = AcquireError::Timeout(Box::new(Diagnosis {
            waited: Duration::from_millis(2500),
            checked_out: 30,
            idle: 0,
            connecting: 0,
            closing: 0,
            waiting: 4,
            capacity: 30,
            oldest_lease: Some((Duration::from_millis(61_200), place)),
            oldest_purpose: Some(Purpose::new("GET /orders")),
            holders_waiting: 0,
            connect_error: None,
        }));
        let text = error.to_string();
        assert!(text.starts_with("no connection within 2.500 s: 30 of 30 connections in use"), "{text}");
        assert!(text.contains("in use for 61.2 s, acquired at") && text.contains("error.rs"), "{text}");
        assert!(text.ends_with("for GET /orders"), "{text}");
    }
}
