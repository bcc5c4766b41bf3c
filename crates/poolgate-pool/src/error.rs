//! Why there is no connection: each cause is a variant of its own, because each has a remedy of its own.

use std::fmt::{self, Display};
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::purpose::Purpose;

/// Why [`acquire`](crate::PoolgatePool::acquire) gave no connection.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AcquireError {
    /// Every connection stayed in use (or could not be opened) for the whole
    /// [`timeout`](crate::PoolConfig::timeout); the diagnosis says which.
    #[error("{0}")]
    Timeout(Box<Diagnosis>),
    /// The database was asked for a connection and gave none: unreachable, or the credentials are wrong.
    /// Callers that come within the short pause after a failure get the same error at once when the
    /// pool has no other connection to wait for.
    #[error("cannot connect to the database: {0}")]
    Connect(#[source] Arc<sqlx::Error>),
    /// Opening a connection took longer than [`connect_timeout`](crate::PoolConfig::connect_timeout).
    #[error("the database did not accept a connection within {:.3} s", limit.as_secs_f64())]
    ConnectTimeout {
        /// The limit that was exceeded.
        limit: Duration,
    },
    /// The database server has no free connection slot (PostgreSQL's `53300`). Its limit is too low for
    /// the pools that share it, or someone else holds the slots; asking again at once makes it worse.
    #[error("the database server has no free connection slot: {0}")]
    ServerFull(#[source] Arc<sqlx::Error>),
    /// [`max_waiting`](crate::PoolConfig::max_waiting) callers wait already.
    #[error("{limit} callers are waiting for a connection already")]
    QueueFull {
        /// The limit that was reached.
        limit: u32,
    },
    /// The pool is closed ([`drain`](crate::PoolgatePool::drain)).
    #[error("the connection pool is closed")]
    Closed,
    /// The call was made outside a tokio runtime.
    #[error("a connection can be acquired within a tokio runtime only")]
    NoRuntime,
}

/// What the pool looked like when a caller's wait ended without a connection.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Diagnosis {
    /// How long the caller had waited.
    pub waited: Duration,
    /// Connections in use.
    pub checked_out: u32,
    /// Connections that were idle (more than zero only for a moment).
    pub idle: u32,
    /// Connections being opened.
    pub connecting: u32,
    /// Connections being verified or closed.
    pub closing: u32,
    /// Other callers that were waiting.
    pub waiting: u32,
    /// The most connections that may exist.
    pub capacity: u32,
    /// The connection that has been in use for longest: for how long, and which line acquired it.
    pub oldest_lease: Option<(Duration, &'static Location<'static>)>,
    /// What that connection was acquired for, where its task says so.
    pub oldest_purpose: Option<Purpose>,
    /// Holders of a connection that wait for another one at the same time, as far as that is known: the same tokio task, or
    /// the same [trace](Purpose::with_trace_id). Where all of them do, none can go on.
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
                "; {} of the holders wait for another connection themselves: use the one that is held, or ask for none \
                 while holding one",
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
    /// Sorts a failed connect by its remedy.
    pub(crate) fn from_connect(error: sqlx::Error) -> Self {
        // 53300 is PostgreSQL's too_many_connections, reserved slots included.
        let full =
            error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "53300");
        let error = Arc::new(error);
        if full { Self::ServerFull(error) } else { Self::Connect(error) }
    }

    /// Whether the database itself answered, however unhelpfully.
    pub(crate) fn is_answer(&self) -> bool {
        matches!(self, Self::ServerFull(_))
    }
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
