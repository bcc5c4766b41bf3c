//! Rolling back and resetting a session between two users.
//!
//! PostgreSQL's `DISCARD ALL` would also discard the statements that sqlx has prepared and still believes to be there. So
//! its other parts run one by one, in one message and one round trip, and `DEALLOCATE ALL` runs only if the user has
//! prepared statements with `PREPARE`. SQLite has no reset: the connection is replaced instead, which costs about as much.

use futures_core::future::BoxFuture;
use sqlx::{Connection, Database};

use super::backend::{self, Backend, Repair};
use crate::state::Upkeep;
use crate::statement::Dialect;

/// Finds out in one round trip whether a transaction is open. It succeeds and changes nothing if none is open. It fails if
/// one is open on SQLite, or has failed on PostgreSQL; a plain `ROLLBACK` then ends it. For one that is open on PostgreSQL
/// the server would log a warning, as for a plain `ROLLBACK` without a transaction: see [`end_open`].
const END: &str = "BEGIN; ROLLBACK";

/// Has no effect and no answer in any state of the session.
const NO_STATEMENT: &str = "-- Is a transaction open?";

/// Failed answers to earlier statements that are skipped; after more of them the connection is given up.
const MAX_UNREAD_FAILURES: usize = 8;

/// The parts of `DISCARD ALL` except those for prepared statements and plans. Each may run in a transaction.
macro_rules! parts {
    () => {
        "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ROLE; RESET ALL; UNLISTEN *; DISCARD TEMP; DISCARD SEQUENCES"
    };
}

/// Undoes `SET`, locks and the like within the transaction that made them.
pub(crate) const IN_TRANSACTION: &str = concat!(parts!(), "; SELECT pg_advisory_unlock_all()");

/// Whether the server refuses writes, regardless of the settings of this session.
const READ_ONLY: &str = "(pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on')";

/// The state of a session after [`restore`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restored {
    /// As new.
    Clean,
    /// As new, on a server that refuses writes.
    ReadOnly,
    /// No reset is possible: the connection must be replaced.
    Unfit,
}

type Restore<DB> = for<'c> fn(&'c mut <DB as Database>::Connection, Upkeep) -> BoxFuture<'c, sqlx::Result<Restored>>;

type IsReadOnly<DB> = for<'c> fn(&'c mut <DB as Database>::Connection) -> BoxFuture<'c, sqlx::Result<bool>>;

/// The functions of this module for one database, for code that is generic over any [`Database`].
pub(crate) struct Repairs<DB: Database> {
    pub(crate) restore: Restore<DB>,
    pub(crate) roll_back: Repair<DB>,
    pub(crate) is_read_only: IsReadOnly<DB>,
}

impl<DB: Backend> Repairs<DB> {
    pub(crate) fn new() -> Self {
        Self { restore: restore::<DB>, roll_back: roll_back::<DB>, is_read_only: is_read_only::<DB> }
    }
}

/// Rolls back an open transaction, and does what `upkeep` asks for.
fn restore<DB: Backend>(connection: &mut DB::Connection, upkeep: Upkeep) -> BoxFuture<'_, sqlx::Result<Restored>> {
    Box::pin(async move {
        let dialect = DB::dialect(connection);
        let mut read_only = false;
        if upkeep.discard_statements && !DB::FORGETS {
            return Ok(Restored::Unfit);
        }
        if upkeep.end_transaction && dialect == Dialect::Postgres {
            end_open(connection).await?;
        }
        match (dialect, upkeep.reset, upkeep.ask_role) {
            (Dialect::Sqlite, true, _) => return Ok(Restored::Unfit),
            (Dialect::Postgres, true, _) => {
                let [_, prepared, demoted] = ask_outside_transaction::<DB, 3>(connection, &reset_text()).await?;
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
                [read_only] =
                    ask_outside_transaction::<DB, 1>(connection, &format!("{END}; SELECT {READ_ONLY}")).await?;
            }
            (_, false, _) => end_failed::<DB>(connection).await?,
        }
        if upkeep.discard_statements {
            DB::forget(connection).await?;
        }
        if backend::is_in_transaction(connection) {
            return Err(sqlx::Error::Protocol("a transaction was left open".to_owned()));
        }
        Ok(if read_only { Restored::ReadOnly } else { Restored::Clean })
    })
}

/// Rolls back any transaction, open or failed, on PostgreSQL.
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

/// Rolls back a transaction that may be open on PostgreSQL, without a warning if none is. A failed transaction stays.
///
/// The server reports with each answer whether a transaction is open. sqlx passes that on only to callers who begin one,
/// after running their statement; so this "begins" a transaction with an empty statement.
async fn end_open(connection: &mut impl Connection) -> sqlx::Result<()> {
    for _ in 0..MAX_UNREAD_FAILURES {
        match connection.begin_with(NO_STATEMENT).await {
            Ok(open) => return open.rollback().await,
            Err(sqlx::Error::BeginFailed) => return Ok(()),
            // The answer belongs to a statement that was cut short.
            Err(sqlx::Error::Database(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(sqlx::Error::Protocol("too many failed statements are unread".to_owned()))
}

/// Rolls back a failed transaction, and on SQLite an open one.
async fn end_failed<DB: Backend>(connection: &mut DB::Connection) -> sqlx::Result<()> {
    match DB::run(connection, END).await {
        Err(sqlx::Error::Database(_)) => DB::run(connection, "ROLLBACK").await,
        other => other,
    }
}

/// Asks, and asks again after a rollback if a failed transaction was in the way.
async fn ask_outside_transaction<DB: Backend, const N: usize>(
    connection: &mut DB::Connection,
    sql: &str,
) -> sqlx::Result<[bool; N]> {
    match DB::ask(connection, sql.to_owned()).await {
        Err(sqlx::Error::Database(_)) => {
            DB::run(connection, "ROLLBACK").await?;
            DB::ask(connection, sql.to_owned()).await
        }
        other => other,
    }
}

/// Whether the server behind a connection refuses writes. SQLite reports that itself, with each write.
fn is_read_only<DB: Backend>(connection: &mut DB::Connection) -> BoxFuture<'_, sqlx::Result<bool>> {
    Box::pin(async move {
        match DB::dialect(connection) {
            Dialect::Postgres => DB::ask(connection, format!("SELECT {READ_ONLY}")).await.map(|[read_only]| read_only),
            Dialect::Sqlite => Ok(false),
        }
    })
}
