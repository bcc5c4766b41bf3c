//! How many connections the database server has room for: asked from time to time, over a connection of its own.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use poolgate_control::sizing::{Room, server_limit};
use serde::Deserialize;
use tokio::time;

use super::standing::Standing;
use crate::shared::Shared;

/// Time between two questions. They look at every process of the server, so they are not for every second.
const INTERVAL: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(2);

/// The limits of the server, of the database and of the role; -1 stands for none. Those of the last two do not hold for
/// superusers, and no parallel worker counts towards the role's.
const QUESTION: &str = "SELECT json_build_array(
        json_build_object(
            'max', current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
                   - coalesce(current_setting('reserved_connections', true)::int, 0),
            'used', (SELECT coalesce(sum(numbackends), 0) FROM pg_stat_database)),
        json_build_object(
            'max', CASE WHEN r.rolsuper THEN -1 ELSE d.datconnlimit END,
            'used', (SELECT numbackends FROM pg_stat_database WHERE datid = d.oid)),
        json_build_object(
            'max', CASE WHEN r.rolsuper THEN -1 ELSE r.rolconnlimit END,
            'used', (SELECT count(*) FROM pg_stat_activity
                     WHERE usesysid = r.oid AND backend_type = 'client backend')))::text
    FROM pg_database d, pg_roles r WHERE d.datname = current_database() AND r.rolname = session_user";

/// The server's newest answer.
#[derive(Debug, Default)]
pub(crate) struct ServerRoom(Mutex<Option<Seen>>);

#[derive(Debug)]
struct Seen {
    rooms: Vec<Room>,
    /// Connections of ours that are in the answer.
    own: u32,
    /// How often the pool had moved: it is no answer of any other server.
    moves: u64,
}

#[derive(Deserialize)]
struct Limit {
    max: i64,
    used: i64,
}

impl ServerRoom {
    /// The most connections that a pool that has moved so often may have; `None` before the first answer.
    pub(crate) fn limit(&self, moves: u64, replicas: u32) -> Option<u32> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Seen { rooms, own, .. } = seen.as_ref().filter(|seen| seen.moves == moves)?;
        server_limit(rooms, *own, replicas)
    }

    /// Asks once, and warns if the pool does not fit; then, for a pool that changes its size, until the server closes.
    pub(crate) async fn run(&self, shared: &Shared) {
        let mut standing = Standing::default();
        self.ask(shared, &mut standing).await;
        self.warn(shared);
        if shared.settings.sizing.predictive {
            while shared.closing.run_until_cancelled(time::sleep(INTERVAL)).await.is_some() {
                self.ask(shared, &mut standing).await;
            }
        }
        standing.close().await;
    }

    async fn ask(&self, shared: &Shared, standing: &mut Standing) {
        if shared.pool().connect_history().retry_in.is_some() {
            // The pool leaves the server alone just now.
            return;
        }
        let moves = shared.pool().figures().options_generation;
        let answer = time::timeout(PATIENCE, async {
            let mut connection =
                standing.take_or_connect(shared.pool(), PATIENCE).await.map_err(|error| error.to_string())?;
            let answer = connection.query_text(QUESTION).await.map_err(|error| error.to_string())?;
            let limits: Vec<Limit> = serde_json::from_str(&answer).map_err(|error| error.to_string())?;
            Ok::<_, String>((connection, limits))
        })
        .await
        .unwrap_or_else(|_| Err("no answer in time".to_owned()));
        match answer {
            Ok((connection, limits)) => {
                let count = |number: i64| u32::try_from(number).unwrap_or(0);
                let limited = limits.into_iter().filter(|limit| limit.max >= 0);
                let rooms = limited.map(|Limit { max, used }| Room { max: count(max), used: count(used) }).collect();
                let own = shared.pool().upkeep().map_or(0, |upkeep| upkeep.counts().open());
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Seen { rooms, own, moves });
                standing.keep(moves, connection);
            }
            // What was known stays known: a server that is full refuses this connection as any other.
            Err(error) => tracing::debug!(error, "Database was not asked for its limits"),
        }
    }

    fn warn(&self, shared: &Shared) {
        let capacity = shared.pool().figures().capacity;
        let replicas = shared.settings.sizing.replicas;
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tightest = seen.iter().flat_map(|seen| &seen.rooms).map(|room| room.max).min();
        if let Some(max) = tightest.filter(|max| capacity.saturating_mul(replicas) > *max) {
            tracing::warn!(
                capacity,
                replicas,
                max,
                "Connection pool is larger than what the database server allows: callers will meet a full server"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_a_server_that_was_left_says_nothing() {
        let room = ServerRoom::default();
        assert_eq!(room.limit(0, 1), None, "nobody has answered");
        *room.0.lock().unwrap() = Some(Seen { rooms: vec![Room { max: 100, used: 10 }], own: 10, moves: 0 });
        assert_eq!((room.limit(0, 1), room.limit(1, 1)), (Some(90), None));
    }
}
