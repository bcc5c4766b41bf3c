//! The operations that the pool needs from each kind of database.

use futures_core::future::BoxFuture;
use sqlx::{
    Any, AnyConnection, AssertSqlSafe, Connection, Database, Executor, PgConnection, Postgres, Row, Sqlite,
    SqliteConnection,
};

use crate::statement::Dialect;

/// An operation that makes a connection fit for the next query.
pub(crate) type Repair<DB> = for<'c> fn(&'c mut <DB as Database>::Connection) -> BoxFuture<'c, sqlx::Result<()>>;

/// A database that can have a pool: [`sqlx::Postgres`], [`sqlx::Sqlite`], or [`sqlx::Any`] with one of these two.
pub trait Backend: Operations {}

impl Backend for Postgres {}
impl Backend for Sqlite {}
impl Backend for Any {}

/// The statements that the pool itself runs. Sealed: the module is private.
pub trait Operations: Database {
    /// The SQL dialect of a connection.
    #[doc(hidden)]
    fn dialect(connection: &Self::Connection) -> Dialect;

    /// Runs statements that have no arguments and are not prepared.
    #[doc(hidden)]
    fn run<'c>(connection: &'c mut Self::Connection, sql: &'static str) -> BoxFuture<'c, sqlx::Result<()>>;

    /// Whether sqlx can discard its prepared statements. `sqlx::Any` has no way to do so.
    #[doc(hidden)]
    const FORGETS: bool;

    /// Discards the statements that sqlx has prepared.
    #[doc(hidden)]
    fn forget(connection: &mut Self::Connection) -> BoxFuture<'_, sqlx::Result<()>>;

    /// Runs statements. The first one that returns a row must return one row of `N` booleans.
    #[doc(hidden)]
    fn ask<'c, const N: usize>(
        connection: &'c mut Self::Connection,
        sql: String,
    ) -> BoxFuture<'c, sqlx::Result<[bool; N]>>;
}

macro_rules! operations {
    ($database:ty, $connection:ty, forgets: $forgets:literal, $dialect:expr) => {
        impl Operations for $database {
            const FORGETS: bool = $forgets;

            fn dialect(connection: &$connection) -> Dialect {
                ($dialect)(connection)
            }

            fn run<'c>(connection: &'c mut $connection, sql: &'static str) -> BoxFuture<'c, sqlx::Result<()>> {
                Box::pin(async move { connection.execute(sql).await.map(drop) })
            }

            fn forget(connection: &mut $connection) -> BoxFuture<'_, sqlx::Result<()>> {
                Box::pin(connection.clear_cached_statements())
            }

            fn ask<'c, const N: usize>(
                connection: &'c mut $connection,
                sql: String,
            ) -> BoxFuture<'c, sqlx::Result<[bool; N]>> {
                Box::pin(async move {
                    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await?;
                    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
                    let mut answers = [false; N];
                    for (column, answer) in answers.iter_mut().enumerate() {
                        *answer = row.try_get(column)?;
                    }
                    Ok(answers)
                })
            }
        }
    };
}

operations!(Postgres, PgConnection, forgets: true, |_: &PgConnection| Dialect::Postgres);
operations!(Sqlite, SqliteConnection, forgets: true, |_: &SqliteConnection| Dialect::Sqlite);
operations!(Any, AnyConnection, forgets: false, |connection: &AnyConnection| match connection.backend_name() {
    "SQLite" => Dialect::Sqlite,
    _ => Dialect::Postgres,
});

/// sqlx's own count of open transactions. A forgotten `sqlx::Transaction` leaves it too high for good.
pub(crate) fn is_in_transaction(connection: &impl Connection) -> bool {
    connection.is_in_transaction()
}
