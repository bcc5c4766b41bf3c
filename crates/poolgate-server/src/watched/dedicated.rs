//! Dedicated connections: outside the pool, for probing the database itself.

use futures_core::future::BoxFuture;
use poolgate_types::Backend;
use sqlx::{Any, AnyConnection, Connection, Database, Executor, PgConnection, Postgres, Row, Sqlite, SqliteConnection};

/// A connection outside the pool.
pub trait DedicatedConnection: Send {
    /// The kind of database.
    fn backend(&self) -> Backend;
    /// Checks that the database answers.
    fn ping(&mut self) -> BoxFuture<'_, sqlx::Result<()>>;
    /// The database server's version.
    fn server_version(&mut self) -> BoxFuture<'_, sqlx::Result<String>>;
    /// Runs a query that returns one text.
    fn query_text(&mut self, query: &'static str) -> BoxFuture<'_, sqlx::Result<String>>;
    /// Runs a query with one text argument (`$1`) that returns one text.
    fn query_text_with(&mut self, query: &'static str, argument: String) -> BoxFuture<'_, sqlx::Result<String>>;
    /// Closes it cleanly.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// A database that Poolgate supports.
pub trait SupportedDatabase: Database {
    /// The kind of database, if the type determines it.
    const BACKEND: Option<Backend>;
    /// The kind of database that a connection leads to.
    fn backend_of(connection: &Self::Connection) -> Backend;
    /// Runs a statement without a result.
    fn execute<'c>(connection: &'c mut Self::Connection, statement: &'static str) -> BoxFuture<'c, sqlx::Result<()>>;
    /// Runs a query that returns one text.
    fn query_text<'c>(connection: &'c mut Self::Connection, query: &'static str)
    -> BoxFuture<'c, sqlx::Result<String>>;
    /// Runs a query for one text that takes one.
    fn query_text_with<'c>(
        connection: &'c mut Self::Connection,
        query: &'static str,
        argument: String,
    ) -> BoxFuture<'c, sqlx::Result<String>>;
}

pub(super) struct Dedicated<DB: SupportedDatabase>(DB::Connection);

impl<DB: SupportedDatabase> Dedicated<DB> {
    pub(super) fn boxed(connection: DB::Connection) -> Box<dyn DedicatedConnection> {
        Box::new(Self(connection))
    }
}

impl<DB: SupportedDatabase> DedicatedConnection for Dedicated<DB> {
    fn backend(&self) -> Backend {
        DB::backend_of(&self.0)
    }

    fn ping(&mut self) -> BoxFuture<'_, sqlx::Result<()>> {
        match self.backend() {
            Backend::Postgres => DB::execute(&mut self.0, "SELECT 1"),
            // Reads the file's first page. SQLite answers `SELECT 1` without reading the file.
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
            // An error does not matter: the connection is no longer needed.
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
                // The simple protocol: a PgBouncer in between may lose a prepared statement.
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
