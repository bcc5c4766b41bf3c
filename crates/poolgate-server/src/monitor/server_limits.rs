//! The connection limits of the database server, asked from time to time on a connection of its own.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use poolgate_control::sizing::{ConnectionLimit, server_limit};
use serde::Deserialize;
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::kept_connection::KeptConnection;
use crate::{settings::SizingSettings, watched::WatchedPool};

/// Time between two questions. A question looks at every process of the server, so it is not for every second.
const INTERVAL: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(2);

/// The limits of the server, of the database and of the role; -1 stands for none. The last two do not apply to
/// superusers, and parallel workers do not count towards the role's.
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
pub(crate) struct ServerLimits(Mutex<Option<Answer>>);

#[derive(Debug)]
struct Answer {
    limits: Vec<ConnectionLimit>,
    /// Connections of ours that the answer counts.
    own: u32,
    /// How often the pool had moved: the answer is about no other server.
    moves: u64,
}

#[derive(Deserialize)]
struct Row {
    max: i64,
    used: i64,
}

impl ServerLimits {
    /// The largest number of connections that a pool that has moved `moves` times may have; `None` before the first
    /// answer.
    pub(super) fn limit(&self, moves: u64, replicas: u32) -> Option<u32> {
        let answer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Answer { limits, own, .. } = answer.as_ref().filter(|answer| answer.moves == moves)?;
        server_limit(limits, *own, replicas)
    }

    /// Asks once, and warns if the pool is too large. If the pool changes its size, it goes on asking until `closing`.
    pub(super) async fn run(&self, pool: &dyn WatchedPool, sizing: &SizingSettings, closing: &CancellationToken) {
        let mut kept = KeptConnection::default();
        self.ask(pool, &mut kept).await;
        self.warn(pool.figures().capacity, sizing.replicas);
        if sizing.predictive {
            while closing.run_until_cancelled(time::sleep(INTERVAL)).await.is_some() {
                self.ask(pool, &mut kept).await;
            }
        }
        kept.close().await;
    }

    async fn ask(&self, pool: &dyn WatchedPool, kept: &mut KeptConnection) {
        if pool.connect_history().retry_in.is_some() {
            // The pool leaves the server alone just now.
            return;
        }
        let moves = pool.figures().options_generation;
        let answer = time::timeout(PATIENCE, async {
            let mut connection = kept.take_or_connect(pool, PATIENCE).await.map_err(|error| error.to_string())?;
            let answer = connection.query_text(QUESTION).await.map_err(|error| error.to_string())?;
            let rows: Vec<Row> = serde_json::from_str(&answer).map_err(|error| error.to_string())?;
            Ok::<_, String>((connection, rows))
        })
        .await
        .unwrap_or_else(|_| Err("no answer in time".to_owned()));
        match answer {
            Ok((connection, rows)) => {
                let count = |number: i64| u32::try_from(number).unwrap_or(0);
                let limited = rows.into_iter().filter(|row| row.max >= 0);
                let limits =
                    limited.map(|Row { max, used }| ConnectionLimit { max: count(max), used: count(used) }).collect();
                let own = pool.upkeep().map_or(0, |upkeep| upkeep.counts().open());
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Answer { limits, own, moves });
                kept.keep(moves, connection);
            }
            // The previous answer stays: a full server refuses this connection like any other.
            Err(error) => tracing::debug!(error, "Database was not asked for its limits"),
        }
    }

    fn warn(&self, capacity: u32, replicas: u32) {
        let answer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tightest = answer.iter().flat_map(|answer| &answer.limits).map(|limit| limit.max).min();
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
        let limits = ServerLimits::default();
        assert_eq!(limits.limit(0, 1), None, "no answer yet");
        let limit = ConnectionLimit { max: 100, used: 10 };
        *limits.0.lock().unwrap() = Some(Answer { limits: vec![limit], own: 10, moves: 0 });
        assert_eq!((limits.limit(0, 1), limits.limit(1, 1)), (Some(90), None));
    }
}
