//! `database.*`: the database.

use std::time::Duration;

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::{DatabaseUrl, duration};

/// `database.*`: the database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseSettings {
    /// `postgres://…` or `sqlite://…`; `DATABASE_URL` is read too. Required, except in demo mode and for watching.
    pub url: Option<DatabaseUrl>,
    /// First part of the `application_name` that PostgreSQL shows for each connection, up to 40 letters, digits, `-`,
    /// `_` and `.`. The second part, after a colon, is random and distinguishes this process from its replicas: a
    /// cleanup ends only sessions with both. Default: `poolgate`.
    pub application_name: String,
    /// Whether a PgBouncer in transaction mode is in between. Queries then run in transactions of their own, and the
    /// settings below are left to the roles on the server (`ALTER ROLE app SET statement_timeout = …`). PgBouncer needs
    /// `ignore_startup_parameters = extra_float_digits`. Default: false.
    pub pgbouncer: bool,
    /// Maximum duration of a statement on PostgreSQL, up to 24 h; 0 s leaves it to the server, as for the next three.
    /// Default: 60 s, after which no caller waits for the answer.
    #[serde(with = "duration")]
    pub statement_timeout: Duration,
    /// Maximum wait for a lock on PostgreSQL, up to 24 h. Default: 10 s.
    #[serde(with = "duration")]
    pub lock_timeout: Duration,
    /// Maximum idle time in a transaction before PostgreSQL ends the session, up to 24 h. Default: 60 s.
    #[serde(with = "duration")]
    pub idle_in_transaction_timeout: Duration,
    /// How often PostgreSQL 14 and newer checks during a statement whether the client is still connected, up to 1 h. A
    /// server on Windows accepts only 0 s. Default: 5 s.
    #[serde(with = "duration")]
    pub client_check_interval: Duration,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self {
            url: None,
            application_name: "poolgate".to_owned(),
            pgbouncer: false,
            statement_timeout: Duration::from_secs(60),
            lock_timeout: Duration::from_secs(10),
            idle_in_transaction_timeout: Duration::from_secs(60),
            client_check_interval: Duration::from_secs(5),
        }
    }
}
