//! Queries on a connection that something has to be done to first: its prepared statements are of no use any more, or the
//! transaction of a query that was cut short is still open.

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::TryFutureExt;
use sqlx::{Database, Either, Execute, Executor};

type Item<DB> = sqlx::Result<Either<<DB as Database>::QueryResult, <DB as Database>::Row>>;

/// What is done first.
pub(crate) type Renew<DB> = for<'c> fn(&'c mut <DB as Database>::Connection) -> BoxFuture<'c, sqlx::Result<()>>;

/// As the executor's method of that name.
pub(crate) fn fetch_many<'e, DB, Q>(
    connection: &'e mut DB::Connection,
    query: Q,
    renew: Renew<DB>,
) -> BoxStream<'e, Item<DB>>
where
    DB: Database,
    Q: Execute<'e, DB> + 'e,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    let rows = async move {
        renew(connection).await?;
        Ok(connection.fetch_many(query))
    };
    Box::pin(rows.try_flatten_stream())
}

/// As the executor's method of that name.
pub(crate) fn fetch_optional<'e, DB, Q>(
    connection: &'e mut DB::Connection,
    query: Q,
    renew: Renew<DB>,
) -> BoxFuture<'e, sqlx::Result<Option<DB::Row>>>
where
    DB: Database,
    Q: Execute<'e, DB> + 'e,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    Box::pin(async move {
        renew(connection).await?;
        connection.fetch_optional(query).await
    })
}
