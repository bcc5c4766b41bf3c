//! Queries behind a PgBouncer in transaction mode, in a transaction of their own.
//!
//! sqlx prepares a statement, waits for the answer, and then runs it. Between the two PgBouncer may give the session to
//! another client, and the statement is gone, named or not. Within a transaction it cannot.

use std::future::ready;

use futures_core::stream::BoxStream;
use futures_util::stream::{self, StreamExt};
use sqlx::{Database, Either, Execute, Executor};
use tokio::sync::mpsc;

use crate::renewal::Renew;
use crate::reset;

type Item<DB> = sqlx::Result<Either<<DB as Database>::QueryResult, <DB as Database>::Row>>;

/// Rows waiting to be taken.
const AHEAD: usize = 16;

/// As the executor's method of that name.
pub(crate) fn fetch_many<'e, DB, Q>(
    connection: &'e mut DB::Connection,
    query: Q,
    tidies: bool,
    renew: Option<Renew<DB>>,
) -> BoxStream<'e, Item<DB>>
where
    DB: Database,
    Q: Execute<'e, DB> + 'e,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    let (send, mut receive) = mpsc::channel(AHEAD);
    let work = async move {
        let ended = async {
            begin::<DB>(connection, renew).await?;
            let fetched = {
                let mut items = connection.fetch_many(query);
                loop {
                    match items.next().await {
                        None => break Ok(()),
                        Some(Err(error)) => break Err(error),
                        // Nobody takes it only if all of this is being dropped.
                        Some(item) => drop(send.send(item).await),
                    }
                }
            };
            end::<DB, _>(connection, fetched, tidies).await
        };
        if let Err(error) = ended.await {
            let _ = send.send(Err(error)).await;
        }
    };
    // The work yields nothing itself; polled beside the channel, it fills it.
    let working = stream::once(work).filter_map(|()| ready(None));
    Box::pin(stream::select(stream::poll_fn(move |context| receive.poll_recv(context)), working))
}

/// As the executor's method of that name.
pub(crate) async fn fetch_optional<'e, DB, Q>(
    connection: &'e mut DB::Connection,
    query: Q,
    tidies: bool,
    renew: Option<Renew<DB>>,
) -> sqlx::Result<Option<DB::Row>>
where
    DB: Database,
    Q: Execute<'e, DB> + 'e,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    begin::<DB>(connection, renew).await?;
    let fetched = connection.fetch_optional(query).await;
    end::<DB, _>(connection, fetched, tidies).await
}

async fn begin<DB>(connection: &mut DB::Connection, renew: Option<Renew<DB>>) -> sqlx::Result<()>
where
    DB: Database,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    if let Some(renew) = renew {
        renew(connection).await?;
    }
    connection.execute("BEGIN").await.map(drop)
}

async fn end<DB, T>(connection: &mut DB::Connection, result: sqlx::Result<T>, tidies: bool) -> sqlx::Result<T>
where
    DB: Database,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    // What it left behind would be the next client's.
    if tidies && result.is_ok() {
        connection.execute(reset::WITHIN).await?;
    }
    let statement = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = connection.execute(statement).await;
    let result = result?;
    ended?;
    Ok(result)
}
