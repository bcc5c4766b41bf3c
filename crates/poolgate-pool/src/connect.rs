//! Opening one connection.

use std::time::{Duration, Instant};

use sqlx::error::DatabaseError;
use sqlx::{Connection, Database};
use tokio::time::{sleep, timeout};

use crate::error::AcquireError;
use crate::shared::Shared;

/// Time between two tries to open a busy SQLite file.
const BUSY_PAUSE: Duration = Duration::from_millis(5);

/// The result of a connect, and the generations that were current when it began.
pub(crate) struct Attempt<DB: Database> {
    pub(crate) generation: u64,
    pub(crate) options_generation: u64,
    pub(crate) started: Instant,
    pub(crate) result: Result<Established<DB>, AcquireError>,
}

pub(crate) struct Established<DB: Database> {
    pub(crate) connection: DB::Connection,
    /// The server process behind it, where that is known.
    pub(crate) server_pid: Option<i32>,
    /// Whether the server refuses writes, where it was asked.
    pub(crate) read_only: Option<bool>,
}

/// Connects, and starts again when the connect options change meanwhile: the previous server may never answer, and its
/// errors no longer matter.
pub(crate) async fn attempt<DB: Database>(shared: &Shared<DB>, limit: Duration) -> Attempt<DB> {
    loop {
        // Made before the state is read, so that no later change is missed.
        let options_changed = shared.options_changed.notified();
        let (generation, options_generation) = {
            let state = shared.state();
            (state.generation(), state.options_generation())
        };
        let started = Instant::now();
        tokio::select! {
            biased;
            () = options_changed => {}
            result = establish(shared, limit) => break Attempt { generation, options_generation, started, result },
        }
    }
}

/// Gives a new or reset session what every user expects.
pub(crate) async fn prepare<DB: Database>(
    shared: &Shared<DB>,
    connection: &mut DB::Connection,
) -> sqlx::Result<Option<i32>> {
    let server_pid = match &shared.session {
        Some(session) => session.begin(connection).await?,
        None => None,
    };
    if let Some(after_connect) = &shared.hooks.after_connect {
        after_connect(connection).await?;
    }
    Ok(server_pid)
}

async fn establish<DB: Database>(shared: &Shared<DB>, limit: Duration) -> Result<Established<DB>, AcquireError> {
    let opened = async {
        loop {
            match open(shared).await {
                Err(error) if is_busy_file(&error) => sleep(BUSY_PAUSE).await,
                result => return result,
            }
        }
    };
    match timeout(limit, opened).await {
        Ok(result) => result.map_err(AcquireError::from_connect),
        Err(_elapsed) => Err(AcquireError::ConnectTimeout { limit }),
    }
}

async fn open<DB: Database>(shared: &Shared<DB>) -> sqlx::Result<Established<DB>> {
    let options = shared.options();
    let mut connection = match &shared.hooks.before_connect {
        Some(before_connect) => DB::Connection::connect_with(&before_connect((*options).clone()).await?).await?,
        None => DB::Connection::connect_with(&options).await?,
    };
    let server_pid = prepare(shared, &mut connection).await?;
    // During a failover: is this the new primary?
    let seeks_primary = shared.state().seeks_primary();
    let read_only = if seeks_primary { Some((shared.repairs.is_read_only)(&mut connection).await?) } else { None };
    Ok(Established { connection, server_pid, read_only })
}

/// SQLite answers `SQLITE_BUSY` at once, regardless of its busy timeout, while another connection turns the write-ahead log
/// on or, as the last one, removes it. That is no failure and ends within moments.
fn is_busy_file(error: &sqlx::Error) -> bool {
    const SQLITE_BUSY: u32 = 5;
    let Some(code) = error.as_database_error().and_then(DatabaseError::code) else {
        return false;
    };
    // SQLite's extended codes have the plain code in their lowest byte; SQLSTATEs have five characters.
    code.len() < 5 && code.parse::<u32>().is_ok_and(|code| code & 0xff == SQLITE_BUSY)
}
