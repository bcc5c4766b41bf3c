//! Queries on a connection that needs a repair first: its prepared statements are outdated, or the transaction of a query
//! that was cut short is still open.

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::TryFutureExt;
use sqlx::{Database, Either, Execute, Executor};

use crate::database::Repair;

type Item<DB> = sqlx::Result<Either<<DB as Database>::QueryResult, <DB as Database>::Row>>;

/// As the method of [`Executor`] with this name.
pub(super) fn fetch_many<'e, DB, Q>(
    connection: &'e mut DB::Connection,
    query: Q,
    repair: Repair<DB>,
) -> BoxStream<'e, Item<DB>>
where
    DB: Database,
    Q: Execute<'e, DB> + 'e,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    let rows = async move {
        repair(connection).await?;
        Ok(connection.fetch_many(query))
    };
    Box::pin(rows.try_flatten_stream())
}

/// As the method of [`Executor`] with this name.
pub(super) fn fetch_optional<'e, DB, Q>(
    connection: &'e mut DB::Connection,
    query: Q,
    repair: Repair<DB>,
) -> BoxFuture<'e, sqlx::Result<Option<DB::Row>>>
where
    DB: Database,
    Q: Execute<'e, DB> + 'e,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    Box::pin(async move {
        repair(connection).await?;
        connection.fetch_optional(query).await
    })
}
