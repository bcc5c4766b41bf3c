//! What the readings of a source elsewhere have shown, and when the next one is due.

use std::{
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use poolgate_pool::ConnectHistory;

use super::{BlindSpot, Figures, reader::is_answer};

/// Between a failure and the next attempt; doubled each time up to the other where the login is refused.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_LOGIN_PAUSE: Duration = Duration::from_secs(30);

/// The newest figures of one source, and how the newest readings went.
#[derive(Debug)]
pub(super) struct Record {
    /// Where the source is; never with a password.
    source: String,
    /// At least this long between two readings.
    interval: Duration,
    known: Mutex<Known>,
}

/// Why there is no reading.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// It cannot be connected to, or breaks off.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It does not answer, or says that the database behind it does not.
    #[error("{0}")]
    Silent(String),
    /// It answers with something that cannot be understood.
    #[error("{0}")]
    Unclear(String),
}

impl Trouble {
    /// There was no answer within this time.
    pub(super) fn late(patience: Duration) -> Self {
        Self::Silent(format!("no answer within {:.1} s", patience.as_secs_f64()))
    }

    /// Whether an operator has to mend the login before another attempt can succeed.
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
            Self::Sql(sqlx::Error::Io(_)) | Self::Io(_) | Self::Silent(_) => true,
            Self::Sql(_) | Self::Unclear(_) => false,
        }
    }
}

#[derive(Debug, Default)]
struct Known {
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

impl Record {
    pub(super) fn new(source: String, interval: Duration) -> Self {
        Self { source, interval, known: Mutex::default() }
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

    /// Whether it is time for a reading, which then begins.
    pub(super) fn is_due(&self) -> bool {
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

    /// The newest reading has succeeded.
    pub(super) fn succeeded(&self) {
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

    /// The newest reading has failed; `advice` says what to do about it.
    pub(super) fn failed(&self, trouble: &Trouble, advice: Option<String>) {
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

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}
