//! Does the database answer? Evidence from a connection of our own, and from the pool's connects.

use std::{
    error::Error,
    sync::{Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use poolgate_control::Contact;
use poolgate_pool::AcquireError;
use poolgate_types::Backend;
use tokio::{sync::Notify, time};
use tokio_util::sync::CancellationToken;

use super::standing::Standing;
use crate::watched::{BoxError, WatchedPool, is_answer};

/// How long the database has for a sign of life.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time between two questions while it is not certain that it answers.
const DOUBT_INTERVAL: Duration = Duration::from_secs(1);
/// The longest time between two questions: so late is it noticed that the database is gone when nobody uses it.
const CALM_INTERVAL: Duration = Duration::from_secs(5);

/// What is known from asking.
#[derive(Debug, Default)]
pub(crate) struct ContactWatch {
    newest: Mutex<Newest>,
    doubt: Notify,
    backend: OnceLock<Backend>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Newest {
    answered: Option<Instant>,
    failed: Option<Instant>,
    in_doubt: bool,
}

impl ContactWatch {
    pub(crate) fn new(backend: Option<Backend>) -> Self {
        let watch = Self::default();
        if let Some(backend) = backend {
            // It is empty.
            let _ = watch.backend.set(backend);
        }
        watch
    }

    /// The newest evidence, of this watch or of the pool's connects.
    pub(crate) fn contact(&self, pool: &dyn WatchedPool) -> Contact {
        let newest = self.newest();
        let connects = pool.contact();
        let younger = |one: Option<Duration>, other: Option<Duration>| one.into_iter().chain(other).min();
        let answered = younger(newest.answered.map(|at| at.elapsed()), connects.answered);
        let failed = younger(newest.failed.map(|at| at.elapsed()), connects.failed);
        match (answered, failed) {
            (None, None) => Contact::Unknown,
            (Some(_), None) => Contact::Answering,
            (None, Some(_)) => Contact::Silent,
            (Some(answered), Some(failed)) if answered <= failed => Contact::Answering,
            (Some(_), Some(_)) => Contact::Silent,
        }
    }

    /// Asks at once, and every second until the doubt is over. Level-triggered: called with every tick.
    pub(crate) fn doubt(&self, in_doubt: bool) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if in_doubt && !newest.in_doubt {
            self.doubt.notify_one();
        }
        newest.in_doubt = in_doubt;
    }

    /// The kind of database, as far as it is known yet; PostgreSQL until then.
    pub(crate) fn backend(&self) -> Backend {
        self.backend.get().copied().unwrap_or(Backend::Postgres)
    }

    /// Asks until `closing`.
    pub(crate) async fn run(&self, pool: &dyn WatchedPool, interval: Duration, closing: &CancellationToken) {
        let mut standing = Standing::default();
        loop {
            self.ask(pool, &mut standing).await;
            let pause = if self.newest().in_doubt { DOUBT_INTERVAL } else { interval.min(CALM_INTERVAL) };
            tokio::select! {
                () = closing.cancelled() => break,
                () = time::sleep(pause) => {}
                () = self.doubt.notified() => {}
            }
        }
        standing.close().await;
    }

    async fn ask(&self, pool: &dyn WatchedPool, standing: &mut Standing) {
        let moves = pool.figures().moves;
        // What does not answer in time is dropped, never asked again.
        let answer = time::timeout(PATIENCE, async {
            let mut connection = standing.take(pool, PATIENCE).await?;
            connection.ping().await?;
            Ok::<_, BoxError>(connection)
        })
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs()).into()));
        if pool.figures().moves != moves {
            // It is about a database that was left meanwhile: the other is asked at once.
            return self.doubt.notify_one();
        }
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok(connection) => {
                let _ = self.backend.set(connection.backend());
                newest.answered = Some(Instant::now());
                standing.keep(moves, connection);
            }
            Err(error) if is_alive(&*error) => {
                newest.answered = Some(Instant::now());
                tracing::debug!(%error, "Database lives, and answers no question");
            }
            Err(error) => {
                newest.failed = Some(Instant::now());
                tracing::debug!(%error, "Database gave no sign of life");
            }
        }
    }

    fn newest(&self) -> Newest {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether only a server that lives would say so. That it lets nobody in with this login, or knows no such database, does
/// not count: the pool has the same login, and is of no use with it.
fn is_alive(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    if let Some(AcquireError::ServerFull(_)) = error.downcast_ref() {
        return true;
    }
    let Some(sqlx::Error::Database(error)) = error.downcast_ref() else { return false };
    let lets_in = |code: &str| !code.starts_with("28") && code != "3D000";
    is_answer(&**error) && error.code().as_deref().is_some_and(lets_in)
}
