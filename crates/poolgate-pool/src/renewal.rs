//! Queries on a connection whose prepared statements are of no use any more: they are forgotten first.

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::TryFutureExt;
use sqlx::{Database, Either, Execute, Executor};

use crate::backend::Operations;

type Item<DB> = sqlx::Result<Either<<DB as Database>::QueryResult, <DB as Database>::Row>>;

/// As the executor's method of that name.
pub(crate) fn fetch_many<'e, DB, Q>(connection: &'e mut DB::Connection, query: Q) -> BoxStream<'e, Item<DB>>
where
    DB: Operations,
    Q: Execute<'e, DB> + 'e,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    let rows = async move {
        DB::forget(connection).await?;
        Ok(connection.fetch_many(query))
    };
    Box::pin(rows.try_flatten_stream())
}

/// As the executor's method of that name.
pub(crate) fn fetch_optional<'e, DB, Q>(
    connection: &'e mut DB::Connection,
    query: Q,
) -> BoxFuture<'e, sqlx::Result<Option<DB::Row>>>
where
    DB: Operations,
    Q: Execute<'e, DB> + 'e,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    Box::pin(async move {
        DB::forget(connection).await?;
        connection.fetch_optional(query).await
    })
}
