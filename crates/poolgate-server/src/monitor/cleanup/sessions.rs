//! The pool's own sessions on a PostgreSQL server: what they do, and how they are ended.
//!
//! Every statement looks only at sessions of this role, this database and this process's `application_name`. A
//! statement that ends something checks again that nothing has changed, because a process number may belong to another
//! session by then.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::watched::DedicatedConnection;

/// Only our sessions: they have the role, database and name of the connection that asks.
macro_rules! ours {
    () => {
        "coalesce(s.usename = current_user AND s.datname = current_database()
            AND s.application_name = current_setting('application_name') AND s.backend_type = 'client backend'
            AND s.pid <> pg_backend_pid(), false)"
    };
}

const LIST: &str = concat!(
    "SELECT coalesce(json_agg(listed), '[]')::text FROM (
        SELECT s.pid, s.backend_start::text, s.state_change::text, coalesce(s.state, '') AS state,
               coalesce(extract(epoch FROM clock_timestamp() - s.state_change), 0)::float8 AS seconds,
               coalesce(extract(epoch FROM clock_timestamp() - s.backend_start), 0)::float8 AS lifetime_seconds,
               coalesce(s.wait_event_type = 'Lock', false) AS waits_for_lock, ",
    ours!(),
    " AS ours
        FROM pg_stat_activity s
        WHERE s.pid IN (SELECT value::int FROM json_array_elements_text($1::json))
    ) listed"
);

/// `$1` is a [`Session`]. It must be the same process, in the same state since the same time.
macro_rules! unchanged {
    ($signal:literal) => {
        concat!(
            "SELECT coalesce(bool_and(",
            $signal,
            "), false)::text FROM pg_stat_activity s, (SELECT $1::json AS seen) AS argument
              WHERE s.pid = (seen->>'pid')::int AND s.backend_start = (seen->>'backend_start')::timestamptz
              AND s.state = seen->>'state' AND s.state_change = (seen->>'state_change')::timestamptz AND ",
            ours!()
        )
    };
}

const CANCEL: &str = unchanged!("pg_cancel_backend(s.pid)");
/// Waits up to a second for the process to end.
const TERMINATE: &str = unchanged!("pg_terminate_backend(s.pid, 1000)");

/// A session on the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) pid: i32,
    /// Absent, like the following, if this role may not see it.
    backend_start: Option<String>,
    state_change: Option<String>,
    pub(super) state: String,
    /// Time in its state.
    seconds: f64,
    /// Time since its start.
    lifetime_seconds: f64,
    pub(super) waits_for_lock: bool,
    /// It belongs to this process.
    pub(super) ours: bool,
}

impl Session {
    /// How long its statement has been running, if one is.
    pub(super) fn works(&self) -> Option<Duration> {
        (self.state == "active").then(|| self.age())
    }

    /// How long it has waited for its client in the middle of a transaction, if it does.
    pub(super) fn idles_in_transaction(&self) -> Option<Duration> {
        self.state.starts_with("idle in transaction").then(|| self.age())
    }

    /// How long it has waited for its client outside of a transaction, if it does.
    pub(super) fn idles(&self) -> Option<Duration> {
        (self.state == "idle").then(|| self.age())
    }

    pub(super) fn lifetime(&self) -> Duration {
        Duration::try_from_secs_f64(self.lifetime_seconds).unwrap_or_default()
    }

    fn age(&self) -> Duration {
        Duration::try_from_secs_f64(self.seconds).unwrap_or_default()
    }
}

/// The sessions of these processes. A process without a session has ended.
pub(super) async fn list(connection: &mut dyn DedicatedConnection, pids: &[i32]) -> Result<Vec<Session>, String> {
    let pids = serde_json::to_string(pids).map_err(|error| error.to_string())?;
    let listed = connection.query_text_with(LIST, pids).await.map_err(|error| error.to_string())?;
    serde_json::from_str(&listed).map_err(|error| error.to_string())
}

/// Ends the session's running statement. `false`: it was not the same any more.
pub(super) async fn cancel(connection: &mut dyn DedicatedConnection, session: &Session) -> Result<bool, String> {
    signal(connection, CANCEL, session).await
}

/// Ends the session. `false`: it has done something since it was seen, or did not end within a second.
pub(super) async fn terminate(connection: &mut dyn DedicatedConnection, session: &Session) -> Result<bool, String> {
    signal(connection, TERMINATE, session).await
}

async fn signal(
    connection: &mut dyn DedicatedConnection,
    statement: &'static str,
    session: &Session,
) -> Result<bool, String> {
    let seen = serde_json::to_string(session).map_err(|error| error.to_string())?;
    let answer = connection.query_text_with(statement, seen).await.map_err(|error| error.to_string())?;
    Ok(answer == "true")
}
