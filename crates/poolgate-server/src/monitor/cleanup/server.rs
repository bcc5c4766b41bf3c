//! The database server's view of old leases, and the commands that end their sessions.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use poolgate_pool::LeaseInfo;
use tokio::time;

use super::sessions::{self, Session};
use crate::watched::{DedicatedConnection, WatchedPool};

/// How long the connection to the server may take, and each statement on it.
const PATIENCE: Duration = Duration::from_secs(2);
/// Difference between the server's clock and ours over a short time; over a longer time a thousandth of it is added.
const CLOCKS_DIFFER: Duration = Duration::from_millis(50);

/// The server's view of old leases.
pub(super) struct Server {
    /// `None`: no lease has a known server process, so there is nothing to ask.
    connection: Option<Box<dyn DedicatedConnection>>,
    sessions: Vec<Session>,
    /// Process numbers of more than one lease: those processes are on different servers.
    ambiguous: HashSet<i32>,
    /// The pool's generation after the look. Connections of an older one may lead to another server, which was not
    /// asked.
    generation: u64,
    /// Longest time between the looks at the leases and at the sessions.
    delay: Duration,
}

/// The session that serves a lease.
pub(super) enum Found<'s> {
    Ours(&'s Session),
    /// It has ended, by a timeout of the server or by an administrator.
    Ended,
    /// Its process number belongs to another session.
    Foreign,
    /// Unknown: the database has no sessions, a PgBouncer hides them, or the session is on a server that the pool has
    /// left.
    Unknown,
}

impl<'s> Found<'s> {
    pub(super) fn ours(self) -> Option<&'s Session> {
        match self {
            Self::Ours(session) => Some(session),
            Self::Ended | Self::Foreign | Self::Unknown => None,
        }
    }
}

impl Server {
    pub(super) async fn look(
        pool: &dyn WatchedPool,
        leases: &[LeaseInfo],
        seen: Instant,
        of_interest: Duration,
    ) -> Result<Self, String> {
        let (mut numbers, mut ambiguous) = (HashSet::new(), HashSet::new());
        for pid in leases.iter().filter_map(|lease| lease.server_pid) {
            if !numbers.insert(pid) {
                ambiguous.insert(pid);
            }
        }
        let old = leases.iter().filter(|lease| lease.age >= of_interest);
        let pids: Vec<i32> = old.filter_map(|lease| lease.server_pid).collect();
        let mut server =
            Self { connection: None, sessions: Vec::new(), ambiguous, generation: 0, delay: Duration::ZERO };
        if !pids.is_empty() {
            let mut connection = pool.dedicated_connection(PATIENCE).await.map_err(|error| error.to_string())?;
            server.sessions = in_time(sessions::list(&mut *connection, &pids)).await?;
            server.connection = Some(connection);
            server.generation = pool.figures().generation;
            server.delay = seen.elapsed();
        }
        Ok(server)
    }

    pub(super) fn session_of(&self, lease: &LeaseInfo) -> Found<'_> {
        let Some(pid) = lease.server_pid else { return Found::Unknown };
        match self.sessions.iter().find(|session| session.pid == pid) {
            Some(session) if session.ours && self.serves(session, lease) => Found::Ours(session),
            Some(_) => Found::Foreign,
            None if lease.generation == self.generation => Found::Ended,
            None => Found::Unknown,
        }
    }

    /// Whether a session with the lease's process number serves the lease.
    fn serves(&self, session: &Session, lease: &LeaseInfo) -> bool {
        // Two clocks measure these times.
        let tolerance = CLOCKS_DIFFER + lease.age / 1000;
        if lease.generation == self.generation {
            // A younger one got the number after the lease's had ended.
            return session.lifetime() + tolerance >= lease.age;
        }
        // The pool may have left the lease's server. Its sessions on the server that was asked are then younger than
        // the lease, except those of older leases, if the pool has come back to that server.
        session.lifetime() >= lease.age + self.delay + tolerance && !self.ambiguous.contains(&session.pid)
    }

    pub(super) async fn cancel(&mut self, session: &Session) -> Result<bool, String> {
        match &mut self.connection {
            Some(connection) => in_time(sessions::cancel(&mut **connection, session)).await,
            None => Ok(false),
        }
    }

    pub(super) async fn terminate(&mut self, session: &Session) -> Result<bool, String> {
        match &mut self.connection {
            Some(connection) => in_time(sessions::terminate(&mut **connection, session)).await,
            None => Ok(false),
        }
    }

    pub(super) async fn close(self) {
        if let Some(connection) = self.connection {
            let _ = time::timeout(PATIENCE, connection.close()).await;
        }
    }
}

async fn in_time<T>(asked: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err("the database server does not answer".to_owned()))
}

#[cfg(test)]
mod tests {
    use poolgate_pool::{Pool, sqlite_options};
    use serde_json::json;
    use sqlx::Sqlite;

    use super::*;

    /// Servers on one machine never share a number, so these are made up.
    #[tokio::test]
    async fn a_session_that_only_has_the_number_of_a_lease_is_never_taken_for_its_own() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let pool = Pool::<Sqlite>::builder(sqlite_options(folder.path().join("any.db"))).build();
        let pool = pool.expect("a pool");
        let _held = pool.acquire().await.expect("a connection");
        let lease = |generation, seconds| {
            let mut lease = pool.leases().remove(0);
            (lease.generation, lease.age, lease.server_pid) = (generation, Duration::from_secs(seconds), Some(100));
            lease
        };
        let server = |lifetime: f64, ambiguous: &[i32]| {
            let session = json!({
                "pid": 100, "state": "idle", "seconds": 60, "lifetime_seconds": lifetime, "waits_for_lock": false,
                "ours": true
            });
            Server {
                connection: None,
                sessions: vec![serde_json::from_value(session).expect("a session")],
                ambiguous: ambiguous.iter().copied().collect(),
                generation: 2,
                delay: Duration::from_secs(1),
            }
        };
        for (generation, lifetime, ambiguous, expected, why) in [
            (2, 300.0, &[][..], true, "opened for this lease"),
            (2, 299.9, &[], true, "clocks differ a little"),
            (2, 290.0, &[], false, "younger: the lease's own has ended"),
            (2, 400.0, &[100], true, "the other one is on a server that was left"),
            (1, 400.0, &[], true, "the pool was disposed of, and has not moved"),
            (1, 300.0, &[], false, "it may be of the server that the pool has moved to"),
            (1, 200.0, &[], false, "it is of the server that the pool has moved to"),
            (1, 400.0, &[100], false, "the pool may be back where another lease is from"),
        ] {
            let server = server(lifetime, ambiguous);
            let found = server.session_of(&lease(generation, 300));
            assert_eq!(found.ours().is_some(), expected, "generation {generation}, {lifetime} s: {why}");
        }
    }
}
