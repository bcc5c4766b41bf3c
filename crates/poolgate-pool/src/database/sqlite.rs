//! Connect options for SQLite in a server: readers do not block the writer, and writers wait for each other.

use std::path::Path;
use std::time::Duration;

use futures_core::future::BoxFuture;
use sqlx::error::DatabaseError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AnyConnection, Executor};

/// How long a writer waits for another one to finish.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// `SQLITE_READONLY`, with any reason: the file was opened for reading, or may not be written.
fn is_read_only(error: &sqlx::Error) -> bool {
    const SQLITE_READONLY: u32 = 8;
    let code = error.as_database_error().and_then(DatabaseError::code);
    code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == SQLITE_READONLY)
}

/// Options for the database file at `path`, created if missing: write-ahead log, `synchronous = NORMAL`, foreign keys
/// checked, and up to 2 s of waiting for another writer. Begin transactions that write with `BEGIN IMMEDIATE`
/// ([`Lease::begin_with`](crate::Lease::begin_with)): a transaction that reads first and writes later fails at once,
/// without waiting, if another one has written in between.
///
/// For a file that is only read, or cannot be written, see [`sqlite_read_options`].
///
/// Do not pool a `:memory:` database: each connection has its own.
pub fn sqlite_options(path: impl AsRef<Path>) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
}

/// Options for reading the database file at `path`, which must exist. The file is not changed; [`sqlite_options`] would set
/// its journal mode.
pub fn sqlite_read_options(path: impl AsRef<Path>) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(BUSY_TIMEOUT).foreign_keys(true)
}

/// The settings of [`sqlite_options`] as an [`after_connect`](crate::Builder::after_connect) hook for pools of
/// [`sqlx::Any`]. It has no effect on other databases. The URL decides whether to create the file:
/// `sqlite:shop.db?mode=rwc`.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// sqlx::any::install_default_drivers();
/// let pool = poolgate_pool::Pool::<sqlx::Any>::builder("sqlite:shop.db?mode=rwc".parse()?)
///     .after_connect(poolgate_pool::sqlite_defaults)
///     .build()?;
/// # Ok(())
/// # }
/// ```
pub fn sqlite_defaults(connection: &mut AnyConnection) -> BoxFuture<'_, sqlx::Result<()>> {
    Box::pin(async move {
        if connection.backend_name() == "SQLite" {
            // The timeout first: setting the journal mode may have to wait.
            connection.execute("PRAGMA busy_timeout = 2000").await?;
            connection.execute("PRAGMA foreign_keys = ON").await?;
            match connection.execute("PRAGMA journal_mode = WAL").await {
                Ok(_) => {
                    connection.execute("PRAGMA synchronous = NORMAL").await?;
                }
                // A read-only file needs no write-ahead log.
                Err(error) if is_read_only(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    })
}
