//! Queries behind a PgBouncer in transaction mode: each runs in a transaction of its own.
//!
//! sqlx prepares a statement, waits for the answer, and then runs it. Between the two PgBouncer may give the session to
//! another client, and the statement is gone, named or not. Within a transaction this cannot happen.

use std::future::ready;

use futures_core::stream::BoxStream;
use futures_util::stream::{self, StreamExt};
use sqlx::{Database, Either, Execute, Executor};
use tokio::sync::mpsc;

use crate::database::{Repair, reset};

type Item<DB> = sqlx::Result<Either<<DB as Database>::QueryResult, <DB as Database>::Row>>;

/// Rows that may be read ahead of the caller.
const AHEAD: usize = 16;

/// As the method of [`Executor`] with this name.
pub(super) fn fetch_many<'e, DB, Q>(
    connection: &'e mut DB::Connection,
    query: Q,
    resets: bool,
    repair: Option<Repair<DB>>,
) -> BoxStream<'e, Item<DB>>
where
    DB: Database,
    Q: Execute<'e, DB> + 'e,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    let (send, mut receive) = mpsc::channel(AHEAD);
    let work = async move {
        let ended = async {
            begin::<DB>(connection, repair).await?;
            let fetched = {
                let mut items = connection.fetch_many(query);
                loop {
                    match items.next().await {
                        None => break Ok(()),
                        Some(Err(error)) => break Err(error),
                        // Sending fails only while this whole future is being dropped.
                        Some(item) => drop(send.send(item).await),
                    }
                }
            };
            end::<DB, _>(connection, fetched, resets).await
        };
        if let Err(error) = ended.await {
            let _ = send.send(Err(error)).await;
        }
    };
    // The work yields no items itself; polled together with the channel, it fills the channel.
    let working = stream::once(work).filter_map(|()| ready(None));
    Box::pin(stream::select(stream::poll_fn(move |context| receive.poll_recv(context)), working))
}

/// As the method of [`Executor`] with this name.
pub(super) async fn fetch_optional<'e, DB, Q>(
    connection: &'e mut DB::Connection,
    query: Q,
    resets: bool,
    repair: Option<Repair<DB>>,
) -> sqlx::Result<Option<DB::Row>>
where
    DB: Database,
    Q: Execute<'e, DB> + 'e,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    begin::<DB>(connection, repair).await?;
    let fetched = connection.fetch_optional(query).await;
    end::<DB, _>(connection, fetched, resets).await
}

async fn begin<DB>(connection: &mut DB::Connection, repair: Option<Repair<DB>>) -> sqlx::Result<()>
where
    DB: Database,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    if let Some(repair) = repair {
        repair(connection).await?;
    }
    connection.execute("BEGIN").await.map(drop)
}

async fn end<DB, T>(connection: &mut DB::Connection, result: sqlx::Result<T>, resets: bool) -> sqlx::Result<T>
where
    DB: Database,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    // Otherwise the next client would get the changed session.
    if resets && result.is_ok() {
        connection.execute(reset::IN_TRANSACTION).await?;
    }
    let statement = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = connection.execute(statement).await;
    let result = result?;
    ended?;
    Ok(result)
}
