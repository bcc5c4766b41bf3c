//! Reads a source elsewhere on one connection.
//!
//! The connection is opened at the start and kept, because a full server would refuse a new one. After a failure it is
//! thrown away and, after a pause, opened anew.

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use poolgate_pool::{ConnectHistory, Drained};
use sqlx::{
    ConnectOptions, PgConnection, Row,
    error::DatabaseError,
    postgres::{PgConnectOptions, PgRow},
};
use tokio::time;

use super::{BlindSpot, Figures};

/// How long a reading may take, connecting included.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between a failure and the next attempt; doubled each time up to the other where the login is refused.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_LOGIN_PAUSE: Duration = Duration::from_secs(30);

/// The connection, and what the readings have shown.
pub(super) struct SourceReader {
    options: PgConnectOptions,
    advice: Advice,
    /// At least this long between two readings.
    interval: Duration,
    known: Mutex<Known>,
}

/// Says what to do about an error, where there is something.
pub(super) type Advice = fn(&sqlx::Error, &PgConnectOptions) -> Option<String>;

/// Why there is no reading.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// It does not answer, or says that the database behind it does not.
    #[error("{0}")]
    Silent(String),
    /// It answers with something that cannot be understood.
    #[error("{0}")]
    Unclear(String),
}

impl Trouble {
    /// Whether somebody has to mend the login before another attempt can succeed.
    fn is_refusal(&self) -> bool {
        let Self::Sql(sqlx::Error::Database(error)) = self else { return false };
        error.code().is_some_and(|code| code.starts_with("28") || code == "3D000")
            || error.message().contains("authentication failed")
            || error.message().contains("no such user")
    }

    /// Whether it is a sign that the database is gone, and not that this connection alone may not look.
    fn is_silence(&self) -> bool {
        // So PgBouncer says whom it refuses.
        const PROTOCOL_VIOLATION: &str = "08P01";
        match self {
            Self::Sql(sqlx::Error::Database(error)) => {
                error.code().as_deref() != Some(PROTOCOL_VIOLATION) && !is_answer(&**error)
            }
            Self::Sql(sqlx::Error::Io(_)) | Self::Silent(_) => true,
            Self::Sql(_) | Self::Unclear(_) => false,
        }
    }
}

#[derive(Debug, Default)]
struct Known {
    connection: Option<PgConnection>,
    begun: Option<Instant>,
    figures: Figures,
    answered: Option<Instant>,
    failed: Option<Instant>,
    failures: u32,
    refused_logins: u32,
    error: Option<Arc<str>>,
    blind_spot: Option<BlindSpot>,
    /// It answers, and yet there is no reading.
    unreadable: Option<BlindSpot>,
}

impl SourceReader {
    pub(super) fn new(options: PgConnectOptions, interval: Duration, advice: Advice) -> Self {
        Self { options: options.application_name("poolgate-watch"), advice, interval, known: Mutex::default() }
    }

    /// One reading, if it is time for one: `look` takes the connection, and gives it back.
    pub(super) async fn read<Look>(&self, look: impl FnOnce(PgConnection) -> Look)
    where
        Look: Future<Output = Result<PgConnection, Trouble>>,
    {
        if !self.is_due() {
            return;
        }
        let reading = async { look(self.connection().await?).await };
        let late = |_| Err(Trouble::Silent(format!("no answer within {} s", PATIENCE.as_secs())));
        match time::timeout(PATIENCE, reading).await.unwrap_or_else(late) {
            Ok(connection) => {
                self.known().connection = Some(connection);
                self.succeeded();
            }
            Err(trouble) => self.failed(&trouble),
        }
    }

    /// Takes out the kept connection, or opens one. A connection that does not answer in time is dropped and never
    /// asked again.
    async fn connection(&self) -> Result<PgConnection, Trouble> {
        let kept = self.known().connection.take();
        match kept {
            Some(connection) => Ok(connection),
            None => Ok(self.options.connect().await?),
        }
    }

    /// Another connection to the same place.
    pub(super) async fn dedicated_connection(&self, timeout: Duration) -> Result<PgConnection, Trouble> {
        let late = |_| Err(Trouble::Silent(format!("no answer within {:.1} s", timeout.as_secs_f64())));
        time::timeout(timeout, async { Ok(self.options.connect().await?) }).await.unwrap_or_else(late)
    }

    /// Ends the reading. The connections that are watched are not ours to close.
    pub(super) async fn drain(&self, deadline: Duration) -> Drained {
        let kept = self.known().connection.take();
        if let Some(connection) = kept {
            // It is of no more use either way.
            let _ = time::timeout(deadline, sqlx::Connection::close(connection)).await;
        }
        Drained::default()
    }

    /// The newest figures; while it cannot be read, no more than the limits.
    pub(super) fn figures(&self) -> Figures {
        let known = self.known();
        if known.unreadable.is_some() { known.figures.unseen() } else { known.figures }
    }

    /// Notes what the newest reading has shown.
    pub(super) fn shows(&self, figures: Figures) {
        self.known().figures = figures;
    }

    pub(super) fn contact(&self) -> ConnectHistory {
        let known = self.known();
        let mut contact = ConnectHistory::default();
        contact.answered = known.answered.map(|at| at.elapsed());
        contact.failed = known.failed.map(|at| at.elapsed());
        contact.consecutive_failures = known.failures;
        contact.error.clone_from(&known.error);
        contact
    }

    /// The newest reading has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.known().failures > 0
    }

    pub(super) fn blind_spot(&self) -> Option<BlindSpot> {
        let known = self.known();
        known.unreadable.as_ref().or(known.blind_spot.as_ref()).cloned()
    }

    /// Notes what is missing in the newest reading.
    pub(super) fn misses(&self, message: Option<String>) {
        let mut known = self.known();
        if known.blind_spot.as_ref().map(|spot| &spot.message) == message.as_ref() {
            return;
        }
        match &message {
            Some(message) => tracing::warn!(source = %self, "Watched source shows only a part: {message}"),
            None => tracing::info!(source = %self, "Watched source shows everything again"),
        }
        known.blind_spot = message.map(|message| BlindSpot { message, since: Timestamp::now() });
    }

    /// The user that it is read as.
    pub(super) fn user(&self) -> &str {
        self.options.get_username()
    }

    fn is_due(&self) -> bool {
        let mut known = self.known();
        let pause = match (known.failures, known.refused_logins) {
            (0, _) => self.interval,
            (_, refused) => {
                PAUSE.saturating_mul(1 << (refused.clamp(1, 10) - 1)).min(LONGEST_LOGIN_PAUSE).max(self.interval)
            }
        };
        let due = known.begun.is_none_or(|begun| begun.elapsed() >= pause);
        if due {
            known.begun = Some(Instant::now());
        }
        due
    }

    fn succeeded(&self) {
        let mut known = self.known();
        if known.answered.is_none() || known.failures > 0 {
            let Figures { pool_size, max_overflow, capacity, .. } = known.figures;
            tracing::info!(source = %self, pool_size, max_overflow, capacity, "Watched source answers");
        }
        known.answered = Some(Instant::now());
        known.failures = 0;
        known.refused_logins = 0;
        known.error = None;
        known.unreadable = None;
    }

    fn failed(&self, trouble: &Trouble) {
        let advice = match trouble {
            Trouble::Sql(error) => (self.advice)(error, &self.options),
            Trouble::Silent(_) | Trouble::Unclear(_) => None,
        };
        let error = advice.map_or_else(|| trouble.to_string(), |advice| format!("{trouble}. {advice}"));
        let mut known = self.known();
        if known.error.as_deref() != Some(error.as_str()) {
            tracing::warn!(source = %self, "Watched source cannot be read: {error}");
        }
        let now = Instant::now();
        if trouble.is_silence() {
            known.failed = Some(now);
            known.unreadable = None;
        } else {
            // Alive. Yet before the first reading it is not known to be what it should be.
            known.failed = None;
            known.answered = known.answered.and(Some(now));
            let message = format!("the source cannot be read: {error}");
            let before = known.unreadable.take().filter(|before| before.message == message);
            known.unreadable = before.or_else(|| Some(BlindSpot { message, since: Timestamp::now() }));
        }
        known.failures = known.failures.saturating_add(1);
        known.refused_logins = if trouble.is_refusal() { known.refused_logins.saturating_add(1) } else { 0 };
        known.error = Some(error.into());
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where it leads to; never with a password.
impl fmt::Display for SourceReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.options.get_host(), self.options.get_port())
    }
}

impl fmt::Debug for SourceReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SourceReader").field(&format_args!("{self}")).finish_non_exhaustive()
    }
}

/// Whether only a server that lives would say so: an SQLSTATE, but for those of a shutdown, a crash or a start (57P0x)
/// and of a connection that has failed (08).
pub(crate) fn is_answer(error: &dyn DatabaseError) -> bool {
    // SQLite's codes are shorter.
    error.code().is_some_and(|code| code.len() == 5 && !code.starts_with("57P0") && !code.starts_with("08"))
}

/// A column's value, whatever its type: read as text, because types differ between versions. `None` where the column
/// is missing or empty.
pub(super) fn text(row: &PgRow, column: &str) -> Option<String> {
    row.try_get_unchecked::<Option<String>, _>(column).ok().flatten()
}

/// The first of these columns that holds a number.
pub(super) fn number(row: &PgRow, columns: &[&str]) -> Option<u64> {
    columns.iter().find_map(|column| text(row, column)?.parse().ok())
}
