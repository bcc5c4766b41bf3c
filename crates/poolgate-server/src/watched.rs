//! What the server needs of a pool, whatever its database.

use std::{fmt, time::Duration};

use poolgate_pool::{AcquireError, Contact, Counts, Drained, LeaseInfo, PoolgatePool};
use poolgate_types::Backend;
use sqlx::{Any, AnyConnection, Connection, Database, Executor, PgConnection, Postgres, Row, Sqlite, SqliteConnection};

use futures_core::future::BoxFuture;

/// A pool that can be watched and cleaned up. Implemented for every [`PoolgatePool`] of a [`SupportedDatabase`].
pub trait WatchedPool: fmt::Debug + Send + Sync + 'static {
    /// The kind of database, where the type tells.
    fn backend(&self) -> Option<Backend>;
    /// The pool's figures at this instant.
    fn counts(&self) -> Counts;
    /// The connections in use, the oldest lease first.
    fn leases(&self) -> Vec<LeaseInfo>;
    /// What the attempts to connect say about the database.
    fn contact(&self) -> Contact;
    /// Closes idle connections beyond the configured minimum; returns how many.
    fn close_surplus_idle(&self) -> u32;
    /// Takes a lease away from its holder, who learns it at the next use; false if it has come back.
    /// A source that knows no leases has none to take away.
    fn revoke(&self, lease: u64) -> bool {
        let _ = lease;
        false
    }
    /// Takes the place of a revoked lease back whose session has ended on the server.
    fn write_off(&self, lease: u64) -> bool {
        let _ = lease;
        false
    }
    /// Replaces every connection, those in use when they come back; returns how many idle ones were closed.
    fn dispose(&self) -> u32;
    /// Changes the pool's size while it works; false: it cannot.
    fn resize(&self, size: u32, max_overflow: u32) -> bool {
        let _ = (size, max_overflow);
        false
    }
    /// Has so many connections opened ahead of demand, up to the pool's size, if it can.
    fn keep_open(&self, count: u32) {
        let _ = count;
    }
    /// Opens a connection outside the pool and its capacity.
    fn connect_apart(&self, timeout: Duration) -> BoxFuture<'_, Result<Box<dyn ApartConnection>, AcquireError>>;
    /// Closes the pool and waits until its connections are closed, or `deadline` has passed.
    fn drain(&self, deadline: Duration) -> BoxFuture<'_, Drained>;
}

/// A connection outside the pool.
pub trait ApartConnection: Send {
    /// The kind of database.
    fn backend(&self) -> Backend;
    /// Asks the database something that it cannot answer without being alive.
    fn ping(&mut self) -> BoxFuture<'_, sqlx::Result<()>>;
    /// The database server's version.
    fn server_version(&mut self) -> BoxFuture<'_, sqlx::Result<String>>;
    /// Runs a query for one text.
    fn query_text(&mut self, query: &'static str) -> BoxFuture<'_, sqlx::Result<String>>;
    /// Runs a query for one text that takes one (`$1`).
    fn query_text_with(&mut self, query: &'static str, argument: String) -> BoxFuture<'_, sqlx::Result<String>>;
    /// Closes it in good order.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// A database that the server can talk to.
pub trait SupportedDatabase: Database {
    /// The kind of database, where the type tells.
    const BACKEND: Option<Backend>;
    /// The kind of database at the other end of a connection.
    fn backend_of(connection: &Self::Connection) -> Backend;
    /// Runs a statement without a result.
    fn execute<'c>(connection: &'c mut Self::Connection, statement: &'static str) -> BoxFuture<'c, sqlx::Result<()>>;
    /// Runs a query for one text.
    fn query_text<'c>(connection: &'c mut Self::Connection, query: &'static str)
    -> BoxFuture<'c, sqlx::Result<String>>;
    /// Runs a query for one text that takes one.
    fn query_text_with<'c>(
        connection: &'c mut Self::Connection,
        query: &'static str,
        argument: String,
    ) -> BoxFuture<'c, sqlx::Result<String>>;
}

impl<DB: SupportedDatabase> WatchedPool for PoolgatePool<DB> {
    fn backend(&self) -> Option<Backend> {
        DB::BACKEND
    }

    fn counts(&self) -> Counts {
        Self::counts(self)
    }

    fn leases(&self) -> Vec<LeaseInfo> {
        Self::leases(self)
    }

    fn contact(&self) -> Contact {
        Self::contact(self)
    }

    fn close_surplus_idle(&self) -> u32 {
        Self::close_surplus_idle(self)
    }

    fn revoke(&self, lease: u64) -> bool {
        Self::revoke(self, lease)
    }

    fn write_off(&self, lease: u64) -> bool {
        Self::write_off(self, lease)
    }

    fn dispose(&self) -> u32 {
        Self::dispose(self)
    }

    fn resize(&self, size: u32, max_overflow: u32) -> bool {
        Self::resize(self, size, max_overflow).is_ok()
    }

    fn keep_open(&self, count: u32) {
        Self::keep_open(self, count);
    }

    fn connect_apart(&self, timeout: Duration) -> BoxFuture<'_, Result<Box<dyn ApartConnection>, AcquireError>> {
        Box::pin(async move {
            let connection = Self::connect_apart(self, timeout).await?;
            Ok(Box::new(Apart::<DB>(connection)) as Box<dyn ApartConnection>)
        })
    }

    fn drain(&self, deadline: Duration) -> BoxFuture<'_, Drained> {
        Box::pin(Self::drain(self, deadline))
    }
}

struct Apart<DB: SupportedDatabase>(DB::Connection);

impl<DB: SupportedDatabase> ApartConnection for Apart<DB> {
    fn backend(&self) -> Backend {
        DB::backend_of(&self.0)
    }

    fn ping(&mut self) -> BoxFuture<'_, sqlx::Result<()>> {
        match self.backend() {
            Backend::Postgres => DB::execute(&mut self.0, "SELECT 1"),
            // Reads the file's first page; SQLite answers `SELECT 1` without looking at the file.
            Backend::Sqlite => DB::execute(&mut self.0, "PRAGMA schema_version"),
        }
    }

    fn server_version(&mut self) -> BoxFuture<'_, sqlx::Result<String>> {
        match self.backend() {
            Backend::Postgres => DB::query_text(&mut self.0, "SELECT current_setting('server_version')"),
            Backend::Sqlite => DB::query_text(&mut self.0, "SELECT sqlite_version()"),
        }
    }

    fn query_text(&mut self, query: &'static str) -> BoxFuture<'_, sqlx::Result<String>> {
        DB::query_text(&mut self.0, query)
    }

    fn query_text_with(&mut self, query: &'static str, argument: String) -> BoxFuture<'_, sqlx::Result<String>> {
        DB::query_text_with(&mut self.0, query, argument)
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            // It is of no more use either way.
            let _ = self.0.close().await;
        })
    }
}

macro_rules! supported {
    ($database:ty, $connection:ty, $backend:expr, $backend_of:expr) => {
        impl SupportedDatabase for $database {
            const BACKEND: Option<Backend> = $backend;

            fn backend_of(connection: &$connection) -> Backend {
                $backend_of(connection)
            }

            fn execute<'c>(
                connection: &'c mut $connection,
                statement: &'static str,
            ) -> BoxFuture<'c, sqlx::Result<()>> {
                Box::pin(async move { Executor::execute(connection, statement).await.map(|_| ()) })
            }

            fn query_text<'c>(
                connection: &'c mut $connection,
                query: &'static str,
            ) -> BoxFuture<'c, sqlx::Result<String>> {
                // By the simple protocol: a PgBouncer in between may forget what was prepared.
                Box::pin(async move { sqlx::raw_sql(query).fetch_one(connection).await?.try_get(0) })
            }

            fn query_text_with<'c>(
                connection: &'c mut $connection,
                query: &'static str,
                argument: String,
            ) -> BoxFuture<'c, sqlx::Result<String>> {
                Box::pin(sqlx::query_scalar(query).bind(argument).fetch_one(connection))
            }
        }
    };
}

supported!(Postgres, PgConnection, Some(Backend::Postgres), |_: &PgConnection| Backend::Postgres);
supported!(Sqlite, SqliteConnection, Some(Backend::Sqlite), |_: &SqliteConnection| Backend::Sqlite);
supported!(Any, AnyConnection, None, |connection: &AnyConnection| match connection.backend_name() {
    "SQLite" => Backend::Sqlite,
    _ => Backend::Postgres,
});
