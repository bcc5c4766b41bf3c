//! What a PostgreSQL server is told about the pool's connections, and which of its processes serves each.

use std::fmt::Write;
use std::time::Duration;

use futures_core::future::BoxFuture;
use sqlx::any::AnyConnectOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Database, PgConnection, Postgres, Row};

use crate::builder::ConnectOptions;

/// How the pool's connections present themselves to a PostgreSQL server, and how long it lets them wait; for
/// [`Builder::postgres`](crate::Builder::postgres). Times are rounded down to milliseconds.
///
/// The server enforces its limits even when the client has forgotten the connection, which no client-side timeout
/// does: a query whose future was dropped goes on in the server.
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
    /// Name in `pg_stat_activity` and in the server's log, up to 63 bytes; one for each process tells them apart.
    /// Default `None`: what the address says.
    pub application_name: Option<String>,
    /// Longest time for a statement (`statement_timeout`). Default `None`: what the server or the role says.
    pub statement_timeout: Option<Duration>,
    /// Longest wait for a lock (`lock_timeout`). Default `None`: what the server or the role says.
    pub lock_timeout: Option<Duration>,
    /// Longest time for a transaction to do nothing (`idle_in_transaction_session_timeout`); then the server ends the
    /// session. Default `None`: what the server or the role says.
    pub idle_in_transaction_timeout: Option<Duration>,
    /// How often the server looks, while it runs a query, whether the client is still there
    /// (`client_connection_check_interval`, PostgreSQL 14; older ones are not told). Default `None`: what the server
    /// says, which is never.
    pub client_check_interval: Option<Duration>,
    /// A PgBouncer in transaction mode is in between, and a session belongs to nobody for longer than a transaction. Then
    /// a query on a lease that has arguments runs in a transaction of its own, which takes two round trips more: sqlx
    /// prepares it first, and what it prepared would be gone. A [`Transaction`](crate::Transaction) needs no other; no
    /// statement keeps a name. Queries on `&mut *lease` are not helped. The timeouts above are not set
    /// (`ALTER ROLE app SET statement_timeout = …` does it) and no process is asked for. A pool of [`sqlx::Any`] cannot
    /// leave out what sqlx sends at the start: there PgBouncer needs `ignore_startup_parameters = extra_float_digits`.
    /// PgBouncer 1.21 and newer with `max_prepared_statements` keeps track of statements itself and needs none of this but
    /// that. Default false.
    pub pgbouncer: bool,
}

/// What a pool does about the sessions of its connections.
pub(crate) trait Session<DB: Database>: Send + Sync {
    /// The address with what the server must know from the start.
    fn adapt(&self, options: ConnectOptions<DB>) -> ConnectOptions<DB>;
    /// Sets a new session up; returns the server process that serves it.
    fn begin<'c>(&self, connection: &'c mut DB::Connection) -> BoxFuture<'c, sqlx::Result<Option<i32>>>;
    /// Whether a PgBouncer may give the session to others between two transactions.
    fn is_bounced(&self) -> bool;
}

impl PostgresSession {
    /// One statement for everything, or the set-up would take a round trip for each.
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
            // A bouncer refuses the startup parameter that it does not know.
            true => options.statement_cache_capacity(0).extra_float_digits(None),
            false => options,
        }
    }

    fn begin<'c>(&self, connection: &'c mut PgConnection) -> BoxFuture<'c, sqlx::Result<Option<i32>>> {
        let statement = self.statement();
        Box::pin(async move {
            let Some(statement) = statement else { return Ok(None) };
            // By the simple protocol: it leaves no statement behind.
            sqlx::raw_sql(AssertSqlSafe(statement)).fetch_one(connection).await?.try_get(0).map(Some)
        })
    }

    fn is_bounced(&self) -> bool {
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

    fn is_bounced(&self) -> bool {
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
