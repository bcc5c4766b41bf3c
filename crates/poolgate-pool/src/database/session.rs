//! The set-up of the pool's sessions on a PostgreSQL server, and which server process serves each.

use std::fmt::Write;
use std::time::Duration;

use futures_core::future::BoxFuture;
use sqlx::any::AnyConnectOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Database, PgConnection, Postgres, Row};

use crate::config::ConnectOptions;

/// The name and the timeouts of the pool's sessions on a PostgreSQL server; for
/// [`Builder::postgres`](crate::Builder::postgres). Times are rounded down to milliseconds.
///
/// The server enforces these limits even when the client has abandoned the connection. No client-side timeout does: a
/// query whose future was dropped continues in the server.
///
/// ```
/// use std::time::Duration;
/// use poolgate_pool::PostgresSession;
///
/// let session = PostgresSession {
///     application_name: Some("shop:4f1c".to_owned()),
///     statement_timeout: Some(Duration::from_secs(30)),
///     ..PostgresSession::default()
/// };
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PostgresSession {
    /// Name in `pg_stat_activity` and in the server's log, up to 63 bytes. Give each process its own. Default `None`: the
    /// name in the address.
    pub application_name: Option<String>,
    /// Longest time for a statement (`statement_timeout`). Default `None`: the setting of the server or role.
    pub statement_timeout: Option<Duration>,
    /// Longest wait for a lock (`lock_timeout`). Default `None`: the setting of the server or role.
    pub lock_timeout: Option<Duration>,
    /// Longest idle time in a transaction (`idle_in_transaction_session_timeout`); then the server ends the session.
    /// Default `None`: the setting of the server or role.
    pub idle_in_transaction_timeout: Option<Duration>,
    /// How often the server checks, while it runs a query, whether the client is still connected
    /// (`client_connection_check_interval`, from PostgreSQL 14 on; ignored before). Default `None`: the setting of the
    /// server, which is never by default.
    pub client_check_interval: Option<Duration>,
    /// The pool connects through a PgBouncer in transaction mode, which may change the session after each transaction.
    /// Default false. If true:
    /// - A query with arguments on a lease runs in a transaction of its own, which adds two round trips: sqlx prepares it
    ///   first, and would lose the prepared statement. In a [`Transaction`](crate::Transaction) nothing is added. Queries
    ///   on `&mut *lease` are not protected.
    /// - The timeouts above are not set; use `ALTER ROLE app SET statement_timeout = …`. No server process is looked up.
    /// - A pool of [`sqlx::Any`] sends a startup parameter that PgBouncer must be told to ignore:
    ///   `ignore_startup_parameters = extra_float_digits`.
    ///
    /// PgBouncer 1.21 and newer with `max_prepared_statements` tracks statements itself: there only the last point applies,
    /// and this may be false.
    pub pgbouncer: bool,
}

/// How a pool sets up the sessions of its connections.
pub(crate) trait Session<DB: Database>: Send + Sync {
    /// Adds to the connect options what the server must know from the start.
    fn adapt(&self, options: ConnectOptions<DB>) -> ConnectOptions<DB>;
    /// Sets up a new session; returns the server process that serves it, if known.
    fn begin<'c>(&self, connection: &'c mut DB::Connection) -> BoxFuture<'c, sqlx::Result<Option<i32>>>;
    /// Whether a PgBouncer may give the session to another client between two transactions.
    fn is_behind_pgbouncer(&self) -> bool;
}

impl PostgresSession {
    /// One statement for the whole set-up, so that it takes one round trip.
    fn statement(&self) -> Option<String> {
        if self.pgbouncer {
            return None;
        }
        let mut statement = "SELECT pg_backend_pid()".to_owned();
        for (name, limit) in [
            ("statement_timeout", self.statement_timeout),
            ("lock_timeout", self.lock_timeout),
            ("idle_in_transaction_session_timeout", self.idle_in_transaction_timeout),
            ("client_connection_check_interval", self.client_check_interval),
        ] {
            let Some(limit) = limit else { continue };
            let limit = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
            // NULL where the server does not know the setting.
            let known = format!("current_setting('{name}', true) IS NOT NULL");
            let _ = write!(statement, ", CASE WHEN {known} THEN set_config('{name}', '{limit}', false) END");
        }
        Some(statement)
    }
}

impl Session<Postgres> for PostgresSession {
    fn adapt(&self, mut options: PgConnectOptions) -> PgConnectOptions {
        if let Some(name) = &self.application_name {
            options = options.application_name(name);
        }
        match self.pgbouncer {
            // PgBouncer refuses startup parameters that it does not know.
            true => options.statement_cache_capacity(0).extra_float_digits(None),
            false => options,
        }
    }

    fn begin<'c>(&self, connection: &'c mut PgConnection) -> BoxFuture<'c, sqlx::Result<Option<i32>>> {
        let statement = self.statement();
        Box::pin(async move {
            let Some(statement) = statement else { return Ok(None) };
            // The simple protocol leaves no prepared statement behind.
            sqlx::raw_sql(AssertSqlSafe(statement)).fetch_one(connection).await?.try_get(0).map(Some)
        })
    }

    fn is_behind_pgbouncer(&self) -> bool {
        self.pgbouncer
    }
}

impl Session<Any> for PostgresSession {
    fn adapt(&self, mut options: AnyConnectOptions) -> AnyConnectOptions {
        if options.database_url.scheme().starts_with("postgres") {
            let mut pairs = options.database_url.query_pairs_mut();
            if let Some(name) = &self.application_name {
                pairs.append_pair("application_name", name);
            }
            if self.pgbouncer {
                pairs.append_pair("statement-cache-capacity", "0");
            }
        }
        options
    }

    fn begin<'c>(&self, connection: &'c mut AnyConnection) -> BoxFuture<'c, sqlx::Result<Option<i32>>> {
        let statement = self.statement();
        Box::pin(async move {
            match statement {
                Some(statement) if connection.backend_name() == "PostgreSQL" => {
                    sqlx::raw_sql(AssertSqlSafe(statement)).fetch_one(connection).await?.try_get(0).map(Some)
                }
                Some(_) | None => Ok(None),
            }
        })
    }

    fn is_behind_pgbouncer(&self) -> bool {
        self.pgbouncer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_told_in_one_statement_and_nothing_through_a_bouncer() {
        assert_eq!(PostgresSession::default().statement().as_deref(), Some("SELECT pg_backend_pid()"));
        let lock_timeout = Some(Duration::from_millis(1500));
        let limited = PostgresSession { lock_timeout, ..PostgresSession::default() };
        let statement = limited.statement().unwrap();
        assert!(statement.contains("set_config('lock_timeout', '1500', false)"), "{statement}");
        assert_eq!(PostgresSession { pgbouncer: true, ..limited }.statement(), None);
    }

    #[test]
    fn an_address_of_any_database_is_told_only_if_it_is_a_postgres() {
        let session = PostgresSession {
            application_name: Some("shop 1&x".to_owned()),
            pgbouncer: true,
            ..PostgresSession::default()
        };
        let adapted = |url: &str| {
            let options: AnyConnectOptions = url.parse().unwrap();
            Session::<Any>::adapt(&session, options).database_url.to_string()
        };
        assert_eq!(
            adapted("postgres://a@b/c?sslmode=disable"),
            "postgres://a@b/c?sslmode=disable&application_name=shop+1%26x&statement-cache-capacity=0"
        );
        assert_eq!(adapted("sqlite://shop.db"), "sqlite://shop.db");
    }
}
