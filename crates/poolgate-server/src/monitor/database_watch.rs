//! Whether the database can be used: evidence from a connection of the monitor's own, from the pool's connects, and
//! from the app's work.

use std::{
    error::Error,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use poolgate_control::{Evidence, Reachability};
use poolgate_types::Backend;
use tokio::{sync::Notify, time};
use tokio_util::sync::CancellationToken;

use super::{cause::Failure, kept_connection::KeptConnection};
use crate::{
    observer::PoolObserver,
    watched::{BoxError, DedicatedConnection, Upkeep, WatchedPool, is_answer},
};

/// Time in which the database must give a sign of life.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time between two questions while it is in doubt that the database answers.
const DOUBT_INTERVAL: Duration = Duration::from_secs(1);
/// The longest time between two questions, and so the time after which the loss of an unused database is noticed.
const CALM_INTERVAL: Duration = Duration::from_secs(5);
/// Pause after the first refused login; it grows up to the longest, which is about half of the time that the outage has
/// lasted. The actual pause is a random part of it, at least a half. The pool keeps the same pace.
const FIRST_LOGIN_PAUSE: Duration = Duration::from_secs(1);
const LOGIN_PAUSE_GROWTH: f64 = 1.5;
const LONGEST_LOGIN_PAUSE: Duration = Duration::from_secs(30);
/// Number of steps after which growth ends; the longest pause is reached before.
const MOST_STEPS: u32 = 16;

/// Asks PostgreSQL whether it is read-only, and how many of our sessions have waited for a lock for 2 s.
const QUESTION: &str = "SELECT current_setting('transaction_read_only') || ' ' ||
    (SELECT count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND usename = current_user
       AND application_name = current_setting('application_name') AND wait_event_type = 'Lock'
       AND query_start < clock_timestamp() - interval '2 s')";

/// Asks the database, and knows its answers.
#[derive(Debug, Default)]
pub(crate) struct DatabaseWatch {
    known: Mutex<Known>,
    doubt: Notify,
    backend: OnceLock<Backend>,
}

#[derive(Debug, Default)]
struct Known {
    answered: Option<Instant>,
    failed: Option<(Instant, Failure)>,
    /// Since when every connect of the monitor has failed, and how the newest one did.
    connects: Option<(Instant, Reachability)>,
    refused_logins: u32,
    /// No new connection before this time.
    not_before: Option<Instant>,
    read_only: Option<bool>,
    was_writable: bool,
    waiting_for_locks: u32,
    in_doubt: bool,
}

/// What is known about the database at one instant.
#[derive(Clone, Debug)]
pub(crate) struct DatabaseState {
    /// Whether the pool can use it.
    pub(crate) reachability: Reachability,
    /// Time since the newest failed attempt to reach it.
    pub(crate) failed: Option<Duration>,
    /// Why new connections fail, if they do.
    pub(crate) connects: Reachability,
    /// Why the newest attempt to reach it failed.
    pub(crate) cause: Option<Arc<str>>,
    /// Whether it reports that it is read-only.
    pub(crate) read_only: Option<bool>,
    /// Our sessions that have waited for a lock for 2 s.
    pub(crate) waiting_for_locks: u32,
}

impl DatabaseWatch {
    pub(crate) fn new(backend: Option<Backend>) -> Self {
        let watch = Self::default();
        if let Some(backend) = backend {
            // It is empty.
            let _ = watch.backend.set(backend);
        }
        watch
    }

    /// What is known from this watch, from the pool's connects and from the results of the app's statements.
    pub(super) fn state(&self, pool: &dyn WatchedPool, observer: &PoolObserver) -> DatabaseState {
        let known = self.known();
        let connects = pool.connect_history();
        let own =
            known.failed.as_ref().map(|(at, failure)| (at.elapsed(), failure.reachability, Arc::clone(&failure.cause)));
        let theirs = connects.failed.map(|failed| {
            let failure = connects.failure.as_ref().map(Failure::of);
            let reachability = failure.as_ref().map_or(Reachability::Silent, |failure| failure.reachability);
            let cause = failure.map(|failure| failure.cause).or_else(|| connects.error.clone());
            (failed, reachability, cause.unwrap_or_else(|| Arc::from("")))
        });
        let newest = own.into_iter().chain(theirs).min_by_key(|(ago, ..)| *ago);
        let failing = connects.failing.zip(connects.failure.as_ref().map(|failure| Failure::of(failure).reachability));
        let evidence = Evidence {
            answered: [known.answered.map(|at| at.elapsed()), connects.answered, observer.answered()]
                .into_iter()
                .flatten()
                .min(),
            failed: newest.as_ref().map(|(ago, reachability, _)| (*ago, *reachability)),
            connects: failing.or(known.connects.map(|(since, met)| (since.elapsed(), met))),
            open: pool.upkeep().map(Upkeep::counts).map(|counts| counts.checked_out + counts.idle),
        };
        let reachability = match evidence.reachability() {
            Reachability::Answering if pool.is_paused() => Reachability::Paused,
            reachability => reachability,
        };
        let failed = evidence.failed.map(|(failed, _)| failed);
        let cause = newest.map(|(.., cause)| cause).filter(|cause| !cause.is_empty());
        let Known { read_only, waiting_for_locks, .. } = *known;
        DatabaseState { reachability, failed, connects: evidence.connects(), cause, read_only, waiting_for_locks }
    }

    /// Whether the newest attempt to ask the database was answered.
    pub(super) fn is_answered(&self) -> bool {
        let known = self.known();
        known.answered > known.failed.as_ref().map(|(at, _)| *at)
    }

    /// In doubt: asks at once, and then every second. Called with every tick.
    pub(super) fn doubt(&self, in_doubt: bool) {
        let mut known = self.known();
        if in_doubt && !known.in_doubt {
            self.doubt.notify_one();
        }
        known.in_doubt = in_doubt;
    }

    /// The kind of database; PostgreSQL until it is known.
    pub(crate) fn backend(&self) -> Backend {
        self.backend.get().copied().unwrap_or(Backend::Postgres)
    }

    /// Asks until `closing`.
    pub(super) async fn run(&self, pool: &dyn WatchedPool, interval: Duration, closing: &CancellationToken) {
        let mut kept = KeptConnection::default();
        loop {
            self.ask(pool, &mut kept).await;
            let pause = if self.known().in_doubt { DOUBT_INTERVAL } else { interval.min(CALM_INTERVAL) };
            tokio::select! {
                () = closing.cancelled() => break,
                () = time::sleep(pause) => {}
                () = self.doubt.notified() => {}
            }
        }
        kept.close().await;
    }

    async fn ask(&self, pool: &dyn WatchedPool, kept: &mut KeptConnection) {
        let moves = pool.figures().options_generation;
        if let Some(connection) = kept.take(moves).await {
            let answer = self.question(connection).await;
            if pool.figures().options_generation != moves {
                // The answer is about a database that the pool has left meanwhile, so the new one is asked at once.
                return self.doubt.notify_one();
            }
            if let Some(connection) = self.heard(answer) {
                kept.keep(moves, connection);
            }
        }
        // An open connection does not show whether new ones are accepted.
        let shut_out = pool.connect_history().failing.is_some() || self.known().connects.is_some();
        if (shut_out || kept.is_empty()) && self.may_connect(pool) {
            let answer = self.connect(pool).await;
            if pool.figures().options_generation != moves {
                return self.doubt.notify_one();
            }
            if let Some(connection) = self.heard_of_connect(answer).await {
                kept.replace(moves, connection).await;
            }
        }
    }

    async fn connect(&self, pool: &dyn WatchedPool) -> Result<Box<dyn DedicatedConnection>, Failure> {
        // A connection that does not answer in time is dropped and never asked again.
        time::timeout(PATIENCE, pool.dedicated_connection(PATIENCE))
            .await
            .unwrap_or_else(|_| Err(late()))
            .map_err(|error| Failure::of_connect(&*error))
    }

    /// Asks on an open connection.
    async fn question(&self, mut connection: Box<dyn DedicatedConnection>) -> Result<Answer, BoxError> {
        let backend = connection.backend();
        let word = time::timeout(PATIENCE, async {
            match backend {
                Backend::Postgres => connection.query_text(QUESTION).await.map(Some),
                Backend::Sqlite => connection.ping().await.map(|()| None),
            }
        });
        let word = word.await.map_err(|_| late())??;
        let (read_only, waiting) = word.as_deref().and_then(|word| word.split_once(' ')).unzip();
        let waiting_for_locks = waiting.and_then(|waiting| waiting.parse().ok()).unwrap_or_default();
        Ok(Answer { read_only: read_only.map(|word| word == "on"), connection, waiting_for_locks })
    }

    /// Notes an answer. Returns the connection if it is to be asked again.
    fn heard(&self, answer: Result<Answer, BoxError>) -> Option<Box<dyn DedicatedConnection>> {
        let mut known = self.known();
        match answer {
            Ok(Answer { connection, read_only, waiting_for_locks }) => {
                known.answered = Some(Instant::now());
                (known.read_only, known.waiting_for_locks) = (read_only, waiting_for_locks);
                known.was_writable |= read_only == Some(false);
                // After a failover an old session still leads to the old primary; a new one finds the new primary.
                (read_only != Some(true) || !known.was_writable).then_some(connection)
            }
            Err(error) if is_alive(&*error) => {
                known.answered = Some(Instant::now());
                None
            }
            Err(error) => {
                (known.read_only, known.waiting_for_locks) = (None, 0);
                known.failed = Some((Instant::now(), Failure::silent(&*error)));
                None
            }
        }
    }

    async fn heard_of_connect(
        &self,
        answer: Result<Box<dyn DedicatedConnection>, Failure>,
    ) -> Option<Box<dyn DedicatedConnection>> {
        match answer {
            Ok(connection) => {
                let _ = self.backend.set(connection.backend());
                let answer = self.question(connection).await;
                let mut known = self.known();
                (known.connects, known.refused_logins, known.not_before) = (None, 0, None);
                drop(known);
                self.heard(answer)
            }
            Err(failure) => {
                let mut known = self.known();
                let now = Instant::now();
                if failure.reachability == Reachability::LoginRefused {
                    known.not_before = Some(now + login_pause(known.refused_logins, random()));
                    known.refused_logins = known.refused_logins.saturating_add(1);
                } else {
                    (known.refused_logins, known.not_before) = (0, None);
                }
                let since = known.connects.map_or(now, |(since, _)| since);
                known.connects = Some((since, failure.reachability));
                known.failed = Some((now, failure));
                None
            }
        }
    }

    /// Whether a new connection may be tried: a server that is full or refuses the login is left alone for a while, by
    /// the pool, too.
    fn may_connect(&self, pool: &dyn WatchedPool) -> bool {
        let contact = pool.connect_history();
        let is_pausing = contact.retry_in.is_some()
            && contact.failure.is_some_and(|failure| Failure::of(&failure).reachability != Reachability::Silent);
        !is_pausing && self.known().not_before.is_none_or(|at| at <= Instant::now())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Answer {
    connection: Box<dyn DedicatedConnection>,
    read_only: Option<bool>,
    waiting_for_locks: u32,
}

fn late() -> BoxError {
    format!("no answer within {} s", PATIENCE.as_secs()).into()
}

/// Whether only a live server would send this error on an open connection.
fn is_alive(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    let Some(sqlx::Error::Database(error)) = error.downcast_ref() else { return false };
    is_answer(&**error)
}

/// The pause after a refused login. `jitter` is in [0, 1).
fn login_pause(refused_before: u32, jitter: f64) -> Duration {
    let growth = LOGIN_PAUSE_GROWTH.powf(f64::from(refused_before.min(MOST_STEPS)));
    let pause = FIRST_LOGIN_PAUSE.mul_f64(growth).min(LONGEST_LOGIN_PAUSE);
    pause.mul_f64(1.0 - 0.5 * jitter.clamp(0.0, 1.0))
}

/// A number in [0, 1). Each `RandomState` has keys of its own.
fn random() -> f64 {
    (RandomState::new().hash_one(0_u8) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_logins_come_ever_more_rarely() {
        let pauses: Vec<_> = (0..11).map(|refused| login_pause(refused, 0.0).as_secs()).collect();
        assert_eq!(pauses, [1, 1, 2, 3, 5, 7, 11, 17, 25, 30, 30]);
        assert_eq!(login_pause(u32::MAX, 1.0), Duration::from_secs(15));
    }
}
