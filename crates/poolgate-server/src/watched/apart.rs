//! Connections outside the pool, for asking the database itself.

use futures_core::future::BoxFuture;
use poolgate_types::Backend;
use sqlx::{Any, AnyConnection, Connection, Database, Executor, PgConnection, Postgres, Row, Sqlite, SqliteConnection};

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

pub(super) struct Apart<DB: SupportedDatabase>(DB::Connection);

impl<DB: SupportedDatabase> Apart<DB> {
    pub(super) fn boxed(connection: DB::Connection) -> Box<dyn ApartConnection> {
        Box::new(Self(connection))
    }
}

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
