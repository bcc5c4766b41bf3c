//! The databases whose sessions the pool knows how to put in order.

use futures_core::future::BoxFuture;
use sqlx::{
    Any, AnyConnection, AssertSqlSafe, Connection, Database, Executor, PgConnection, Postgres, Row, Sqlite,
    SqliteConnection,
};

use crate::renewal::Renew;
use crate::reset;
use crate::statement::Dialect;

/// A database that the pool has connections to: [`sqlx::Postgres`], [`sqlx::Sqlite`] or [`sqlx::Any`] of these two.
pub trait Backend: Operations {}

impl Backend for Postgres {}
impl Backend for Sqlite {}
impl Backend for Any {}

/// What the pool itself asks of a connection. Sealed: the module is private.
pub trait Operations: Database {
    /// Whose rules the connection follows.
    #[doc(hidden)]
    fn dialect(connection: &Self::Connection) -> Dialect;

    /// Runs statements without arguments and without a name.
    #[doc(hidden)]
    fn run<'c>(connection: &'c mut Self::Connection, sql: &'static str) -> BoxFuture<'c, sqlx::Result<()>>;

    /// Whether sqlx can be told to forget what it has prepared. `sqlx::Any` passes that on to nobody.
    #[doc(hidden)]
    const FORGETS: bool;

    /// Forgets the statements that sqlx has prepared.
    #[doc(hidden)]
    fn forget(connection: &mut Self::Connection) -> BoxFuture<'_, sqlx::Result<()>>;

    /// Runs statements, of which the first that answers does so with one row of these truths.
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
                    let mut truths = [false; N];
                    for (column, truth) in truths.iter_mut().enumerate() {
                        *truth = row.try_get(column)?;
                    }
                    Ok(truths)
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

/// What the pool does to its connections, for the parts of it that are written for any database.
pub(crate) struct Care<DB: Database> {
    pub(crate) restore: reset::Restore<DB>,
    /// Ends the transaction that a query cut short has left open.
    pub(crate) roll_back: Renew<DB>,
    pub(crate) is_read_only: for<'c> fn(&'c mut DB::Connection) -> BoxFuture<'c, sqlx::Result<bool>>,
}

impl<DB: Backend> Care<DB> {
    pub(crate) fn new() -> Self {
        Self {
            restore: reset::restore::<DB>,
            roll_back: reset::roll_back::<DB>,
            is_read_only: reset::is_read_only::<DB>,
        }
    }
}

/// sqlx's own count of open transactions, which a forgotten `sqlx::Transaction` leaves too high for good.
pub(crate) fn is_in_transaction(connection: &impl Connection) -> bool {
    connection.is_in_transaction()
}
