//! Opening connections: in tasks of their own, so that a caller who gives up wastes nothing.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use sqlx::error::DatabaseError;
use sqlx::{Connection, Database};
use tokio::time::{sleep, sleep_until, timeout};

use crate::error::AcquireError;
use crate::janitor;
use crate::observer::CloseReason;
use crate::pool::Shared;
use crate::state::Opened;

/// Time between two tries to open a busy SQLite file.
const BUSY_PAUSE: Duration = Duration::from_millis(5);
/// Opens one connection that the state counts as connecting.
pub(crate) fn spawn<DB: Database>(shared: &Arc<Shared<DB>>) {
    // Made here and not in the task: a task that never runs must give its place back too.
    let opening = Opening { shared: Arc::clone(shared), open: true };
    shared.spawn(async move {
        let limit = opening.shared.config.connect_timeout;
        let Attempt { generation, moves, started, result } = attempt(&opening.shared, limit).await;
        match result {
            Ok(established) => {
                opening.shared.observer.created(started.elapsed());
                opening.succeed(established, generation);
            }
            Err(error) => opening.fail(&error, moves),
        }
    });
}

/// Asks again at `at`, after the pause that follows a failed connect.
pub(crate) fn retry_at<DB: Database>(shared: &Arc<Shared<DB>>, at: Instant) {
    let planned = Retry { shared: Arc::downgrade(shared), at };
    shared.spawn(async move {
        sleep_until(at.into()).await;
        let shared = planned.shared.upgrade();
        drop(planned);
        if let Some(shared) = shared {
            shared.connect_for_waiters();
        }
    });
}

/// Opens a connection that is not the pool's; what it learns about the database is kept.
pub(crate) async fn apart<DB: Database>(
    shared: &Arc<Shared<DB>>,
    limit: Duration,
) -> Result<DB::Connection, AcquireError> {
    let Attempt { moves, result, .. } = attempt(shared, limit).await;
    let now = Instant::now();
    let mut state = shared.state();
    // Of a database that was left since nobody needs to know.
    let is_news = moves == state.moves();
    match &result {
        Ok(_) if is_news => {
            state.backoff().succeeded(now);
            drop(state);
            shared.connect_for_waiters();
        }
        // It is full for the pool as well, which need not ask to know.
        Err(error) if is_news && error.is_answer() => state.backoff().failed(error.clone(), now, random()),
        Err(_) if is_news => state.backoff().failed_apart(now),
        _ => {}
    }
    result.map(|established| established.connection)
}

/// What became of connecting, to which database: as the state counted when it began.
struct Attempt<DB: Database> {
    generation: u64,
    moves: u64,
    started: Instant,
    result: Result<Established<DB>, AcquireError>,
}

/// Connects, and begins anew where the pool moves meanwhile: the database that was left may never answer, and its errors are
/// no longer of interest.
async fn attempt<DB: Database>(shared: &Shared<DB>, limit: Duration) -> Attempt<DB> {
    loop {
        // Made before the state is read: it hears of every move from here on.
        let moved = shared.moved.notified();
        let (generation, moves) = {
            let state = shared.state();
            (state.generation(), state.moves())
        };
        let started = Instant::now();
        tokio::select! {
            biased;
            () = moved => {}
            result = establish(shared, limit) => break Attempt { generation, moves, started, result },
        }
    }
}

struct Established<DB: Database> {
    connection: DB::Connection,
    /// The server process behind it, where that is known.
    server_pid: Option<i32>,
    /// Whether the server takes no writes, where it was asked.
    read_only: Option<bool>,
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
    // A failover is on its way: is this the new primary?
    let wary = shared.state().is_wary();
    let read_only = if wary { Some((shared.care.is_read_only)(&mut connection).await?) } else { None };
    Ok(Established { connection, server_pid, read_only })
}

/// Makes a session, new or reset, what every user expects.
pub(crate) async fn prepare<DB: Database>(
    shared: &Shared<DB>,
    connection: &mut DB::Connection,
) -> sqlx::Result<Option<i32>> {
    let server_pid = match &shared.session {
        Some(session) => session.begin(connection).await?,
        None => None,
    };
    if let Some(on_connect) = &shared.hooks.on_connect {
        on_connect(connection).await?;
    }
    Ok(server_pid)
}

/// SQLite answers `SQLITE_BUSY` at once, whatever its busy timeout, while another connection turns on the write-ahead
/// log or, as the last one, tidies it up: no failure, and over in a moment.
fn is_busy_file(error: &sqlx::Error) -> bool {
    const SQLITE_BUSY: u32 = 5;
    let Some(code) = error.as_database_error().and_then(DatabaseError::code) else {
        return false;
    };
    // SQLite's extended codes have the plain one in their lowest byte; SQLSTATEs have five characters.
    code.len() < 5 && code.parse::<u32>().is_ok_and(|code| code & 0xff == SQLITE_BUSY)
}

/// The place of a connection that is being opened.
struct Opening<DB: Database> {
    shared: Arc<Shared<DB>>,
    open: bool,
}

impl<DB: Database> Opening<DB> {
    fn succeed(mut self, established: Established<DB>, generation: u64) {
        self.open = false;
        let Established { connection, server_pid, read_only } = established;
        let now = Instant::now();
        let lifetime = self.shared.config.max_lifetime.map(|age| age.mul_f64(1.0 - 0.25 * random()));
        let expires = lifetime.and_then(|age| now.checked_add(age));
        if let Some(age) = self.shared.config.max_lifetime {
            janitor::close_expired(&self.shared, age);
        }
        if read_only == Some(false) {
            let demoted = self.shared.state().found_writable();
            self.shared.close_all(demoted, CloseReason::ReadOnly);
        }
        let read_only = read_only.unwrap_or(false);
        let opened = Opened { connection, generation, expires, server_pid, read_only };
        let placement = self.shared.state().connected(opened, now);
        self.shared.settle(placement);
        self.shared.connect_for_waiters();
    }

    fn fail(mut self, error: &AcquireError, moves: u64) {
        self.open = false;
        tracing::debug!(%error, "a connection could not be opened");
        self.shared.observer.connect_failed(error);
        self.tell(error, moves);
        self.shared.connect_for_waiters();
    }

    fn tell(&self, error: &AcquireError, moves: u64) {
        let told = self.shared.state().connect_failed(error, moves, Instant::now(), random());
        for reply in told {
            // A caller that has just left needs no answer.
            let _ = reply.send(Err(error.clone()));
        }
        self.shared.notify_if_empty();
    }
}

impl<DB: Database> Drop for Opening<DB> {
    /// The task panicked in a driver or ended with its runtime. No connect is started from here: it might end alike.
    fn drop(&mut self) {
        if self.open {
            let ended = sqlx::Error::Protocol("the connecting task ended early".to_owned());
            let moves = self.shared.state().moves();
            self.tell(&AcquireError::from_connect(ended), moves);
        }
    }
}

/// The plan to ask again; forgotten when its task ends, however that is. It keeps no pool alive.
struct Retry<DB: Database> {
    shared: Weak<Shared<DB>>,
    at: Instant,
}

impl<DB: Database> Drop for Retry<DB> {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.state().retry_due(self.at);
        }
    }
}

/// A number in [0, 1) for spreading times; each `RandomState` has keys of its own.
fn random() -> f64 {
    let bits = RandomState::new().hash_one(0_u8) >> 11;
    bits as f64 / (1_u64 << 53) as f64
}
