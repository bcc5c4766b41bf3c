//! Putting a session in order between two holders.
//!
//! PostgreSQL's own `DISCARD ALL` would also throw away what sqlx has prepared, which it believes to be there. So its other
//! parts are run one by one, in one message and one round trip, and `DEALLOCATE ALL` only where the holder has prepared
//! statements of his own. SQLite has nothing of the kind: there a new connection is opened instead, which costs about as
//! much.

use futures_core::future::BoxFuture;
use sqlx::{Connection, Database};

use crate::backend::{self, Backend};
use crate::state::Upkeep;
use crate::statement::Dialect;

/// Asks and answers in one round trip: it succeeds without a trace when no transaction is open, and fails where one is open
/// on SQLite, or has failed on PostgreSQL, which a plain `ROLLBACK` then ends. Of one that is open on PostgreSQL it would warn,
/// and a plain `ROLLBACK` warns of one that is not: see [`end_open`].
const END: &str = "BEGIN; ROLLBACK";

/// Says nothing, in whatever state.
const NOTHING: &str = "-- Is a transaction open?";

/// Answers to what was cut short that may be failures; beyond that the connection is given up.
const MOST_UNREAD_FAILURES: usize = 8;

/// The parts of `DISCARD ALL` but for what is prepared and planned, each of which may run in a transaction.
macro_rules! parts {
    () => {
        "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ROLE; RESET ALL; UNLISTEN *; DISCARD TEMP; DISCARD SEQUENCES"
    };
}

/// What `SET`, locks and the like have left, taken away within the transaction that did it.
pub(crate) const WITHIN: &str = concat!(parts!(), "; SELECT pg_advisory_unlock_all()");

/// Whether the server takes no writes, whatever this session has been told.
const READ_ONLY: &str = "(pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on')";

/// What was found on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restored {
    /// In order.
    Well,
    /// In order, on a server that takes no writes.
    ReadOnly,
    /// Only a new connection is clean.
    Unfit,
}

pub(crate) type Restore<DB> =
    for<'c> fn(&'c mut <DB as Database>::Connection, Upkeep) -> BoxFuture<'c, sqlx::Result<Restored>>;

/// Rolls back whatever is open, and does what `upkeep` says.
pub(crate) fn restore<DB: Backend>(
    connection: &mut DB::Connection,
    upkeep: Upkeep,
) -> BoxFuture<'_, sqlx::Result<Restored>> {
    Box::pin(async move {
        let dialect = DB::dialect(connection);
        let mut read_only = false;
        if upkeep.renew && !DB::FORGETS {
            return Ok(Restored::Unfit);
        }
        if upkeep.unsettled && dialect == Dialect::Postgres {
            end_open(connection).await?;
        }
        match (dialect, upkeep.reset, upkeep.ask_role) {
            (Dialect::Sqlite, true, _) => return Ok(Restored::Unfit),
            (Dialect::Postgres, true, _) => {
                let [_, prepared, demoted] = ended::<DB, 3>(connection, &reset_text()).await?;
                if prepared && !DB::FORGETS {
                    return Ok(Restored::Unfit);
                }
                if prepared {
                    DB::run(connection, "DEALLOCATE ALL").await?;
                    DB::forget(connection).await?;
                }
                read_only = demoted && upkeep.ask_role;
            }
            (Dialect::Postgres, false, true) => {
                [read_only] = ended::<DB, 1>(connection, &format!("{END}; SELECT {READ_ONLY}")).await?;
            }
            (_, false, _) => end_failed::<DB>(connection).await?,
        }
        if upkeep.renew {
            DB::forget(connection).await?;
        }
        if backend::is_in_transaction(connection) {
            return Err(sqlx::Error::Protocol("a transaction was left open".to_owned()));
        }
        Ok(if read_only { Restored::ReadOnly } else { Restored::Well })
    })
}

/// Ends whatever transaction may be open on PostgreSQL.
pub(crate) fn roll_back<DB: Backend>(connection: &mut DB::Connection) -> BoxFuture<'_, sqlx::Result<()>> {
    Box::pin(async move {
        end_open(connection).await?;
        end_failed::<DB>(connection).await
    })
}

fn reset_text() -> String {
    format!(
        "{END}; {}; SELECT pg_advisory_unlock_all() IS NULL, \
         EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql), {READ_ONLY}",
        parts!()
    )
}

/// Ends the transaction that may be open on PostgreSQL, without a warning if there is none; one that has failed stays.
///
/// The server says with each answer whether one is open, and sqlx tells only those who begin one: it takes the statement's
/// word for it, so here it begins what is there already.
async fn end_open(connection: &mut impl Connection) -> sqlx::Result<()> {
    for _ in 0..MOST_UNREAD_FAILURES {
        match connection.begin_with(NOTHING).await {
            Ok(open) => return open.rollback().await,
            Err(sqlx::Error::BeginFailed) => return Ok(()),
            // What was cut short has failed meanwhile.
            Err(sqlx::Error::Database(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(sqlx::Error::Protocol("what was cut short does not end".to_owned()))
}

/// Ends the transaction that has failed, and on SQLite one that is open.
async fn end_failed<DB: Backend>(connection: &mut DB::Connection) -> sqlx::Result<()> {
    match DB::run(connection, END).await {
        Err(sqlx::Error::Database(_)) => DB::run(connection, "ROLLBACK").await,
        other => other,
    }
}

/// Asks anew after a rollback where a transaction has failed before.
async fn ended<DB: Backend, const N: usize>(connection: &mut DB::Connection, sql: &str) -> sqlx::Result<[bool; N]> {
    match DB::ask(connection, sql.to_owned()).await {
        Err(sqlx::Error::Database(_)) => {
            DB::run(connection, "ROLLBACK").await?;
            DB::ask(connection, sql.to_owned()).await
        }
        other => other,
    }
}

/// Whether the server behind a connection takes no writes. SQLite says so itself, with each write.
pub(crate) fn is_read_only<DB: Backend>(connection: &mut DB::Connection) -> BoxFuture<'_, sqlx::Result<bool>> {
    Box::pin(async move {
        match DB::dialect(connection) {
            Dialect::Postgres => DB::ask(connection, format!("SELECT {READ_ONLY}")).await.map(|[read_only]| read_only),
            Dialect::Sqlite => Ok(false),
        }
    })
}
