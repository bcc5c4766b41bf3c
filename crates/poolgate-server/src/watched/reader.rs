//! Reads a source elsewhere on one connection to a PostgreSQL server, or to one that speaks its protocol.
//!
//! The connection is opened at the start and kept, because a full server would refuse a new one. After a failure it is
//! thrown away and, after a pause, opened anew.

use std::{
    fmt,
    future::Future,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use poolgate_pool::Drained;
use sqlx::{
    ConnectOptions, PgConnection, Row,
    error::DatabaseError,
    postgres::{PgConnectOptions, PgRow},
};
use tokio::time;

use super::record::{Record, Trouble};

/// How long a reading may take, connecting included.
const PATIENCE: Duration = Duration::from_secs(2);

/// The connection, and what the readings have shown.
pub(super) struct SourceReader {
    pub(super) record: Record,
    options: PgConnectOptions,
    advice: Advice,
    kept: Mutex<Option<PgConnection>>,
}

/// Says what to do about an error, where there is something.
pub(super) type Advice = fn(&sqlx::Error, &PgConnectOptions) -> Option<String>;

impl SourceReader {
    pub(super) fn new(options: PgConnectOptions, interval: Duration, advice: Advice) -> Self {
        let record = Record::new(format!("{}:{}", options.get_host(), options.get_port()), interval);
        Self { record, options: options.application_name("poolgate-watch"), advice, kept: Mutex::default() }
    }

    /// One reading, if it is time for one: `look` takes the connection, and gives it back.
    pub(super) async fn read<Look>(&self, look: impl FnOnce(PgConnection) -> Look)
    where
        Look: Future<Output = Result<PgConnection, Trouble>>,
    {
        if !self.record.is_due() {
            return;
        }
        let reading = async { look(self.connection().await?).await };
        match time::timeout(PATIENCE, reading).await.unwrap_or_else(|_| Err(Trouble::late(PATIENCE))) {
            Ok(connection) => {
                *self.kept() = Some(connection);
                self.record.succeeded();
            }
            Err(trouble) => {
                let advice = match &trouble {
                    Trouble::Sql(error) => (self.advice)(error, &self.options),
                    Trouble::Io(_) | Trouble::Silent(_) | Trouble::Unclear(_) => None,
                };
                self.record.failed(&trouble, advice);
            }
        }
    }

    /// Takes out the kept connection, or opens one. A connection that does not answer in time is dropped and never
    /// asked again.
    async fn connection(&self) -> Result<PgConnection, Trouble> {
        let kept = self.kept().take();
        match kept {
            Some(connection) => Ok(connection),
            None => Ok(self.options.connect().await?),
        }
    }

    /// Another connection to the same place.
    pub(super) async fn dedicated_connection(&self, timeout: Duration) -> Result<PgConnection, Trouble> {
        let connected = time::timeout(timeout, async { Ok(self.options.connect().await?) });
        connected.await.unwrap_or_else(|_| Err(Trouble::late(timeout)))
    }

    /// Ends the reading. The connections that are watched are not ours to close.
    pub(super) async fn drain(&self, deadline: Duration) -> Drained {
        let kept = self.kept().take();
        if let Some(connection) = kept {
            // It is of no more use either way.
            let _ = time::timeout(deadline, sqlx::Connection::close(connection)).await;
        }
        Drained::default()
    }

    /// The user that it is read as.
    pub(super) fn user(&self) -> &str {
        self.options.get_username()
    }

    fn kept(&self) -> MutexGuard<'_, Option<PgConnection>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SourceReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SourceReader").field(&format_args!("{}", self.record)).finish()
    }
}

/// Whether only a server that lives would say so: an SQLSTATE, but for those of a shutdown, a crash or a start (57P0x)
/// and of a connection that has failed (08).
pub(crate) fn is_answer(error: &dyn DatabaseError) -> bool {
    // SQLite's codes are shorter.
    error.code().is_some_and(|code| code.len() == 5 && !code.starts_with("57P0") && !code.starts_with("08"))
}

/// A column's value of any type: read as text, because types differ between versions. `None` where the column
/// is missing or empty.
pub(super) fn text(row: &PgRow, column: &str) -> Option<String> {
    row.try_get_unchecked::<Option<String>, _>(column).ok().flatten()
}

/// The first of these columns that holds a number.
pub(super) fn number(row: &PgRow, columns: &[&str]) -> Option<u64> {
    columns.iter().find_map(|column| text(row, column)?.trim().parse().ok())
}
