//! What the database and the clients can see meanwhile.

use std::{
    net::SocketAddr,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result};
use poolgate_e2e::Client;
use poolgate_types::{ThrottlingConfig, routes};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::time;

/// Time between two counts of the connections, and between two looks at the config.
const COUNT: Duration = Duration::from_millis(10);
const LOOK: Duration = Duration::from_millis(200);

/// Counts until it is asked to end.
pub(super) struct Watch {
    ends: Arc<AtomicBool>,
    watching: JoinHandle<Result<Seen>>,
}

/// What was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// The most connections that the replicas had at the same time.
    pub(super) most_connections: u32,
    /// How often a newer config had another level.
    pub(super) level_changes: u32,
}

impl Watch {
    /// Watches the database at `database_url`, and what is published at `front`.
    pub(super) fn start(front: SocketAddr, database_url: String) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&ends);
        let watching = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let (most_connections, level_changes) = runtime.block_on(async {
                tokio::try_join!(count_connections(&database_url, &ended), count_level_changes(front, &ended))
            })?;
            Ok(Seen { most_connections, level_changes })
        });
        Self { ends, watching }
    }

    pub(super) fn end(self) -> Result<Seen> {
        self.ends.store(true, Relaxed);
        self.watching.join().ok().context("the watch has panicked")?
    }
}

async fn count_connections(database_url: &str, ends: &AtomicBool) -> Result<u32> {
    let mut connection = PgConnection::connect_with(&PgConnectOptions::from_str(database_url)?).await?;
    let query = "SELECT count(*)::int4 FROM pg_stat_activity WHERE application_name LIKE 'poolgate%'";
    let mut most = 0;
    while !ends.load(Relaxed) {
        let open: i32 = sqlx::query_scalar(query).fetch_one(&mut connection).await?;
        most = most.max(open.unsigned_abs());
        time::sleep(COUNT).await;
    }
    Ok(most)
}

async fn count_level_changes(front: SocketAddr, ends: &AtomicBool) -> Result<u32> {
    let client = Client::new(front);
    let mut newest = None::<ThrottlingConfig>;
    let mut changes = 0;
    while !ends.load(Relaxed) {
        // A replica that does not answer is not asked again.
        let heard = match client.get(routes::THROTTLING_CONFIG).await {
            Ok(answer) => answer.json::<ThrottlingConfig>().ok(),
            Err(_) => None,
        };
        if let Some(heard) = heard
            && newest.as_ref().is_none_or(|newest| newest.at() < heard.at())
        {
            let before = newest.as_ref().map_or(heard.throttling_level, |newest| newest.throttling_level);
            changes += u32::from(before != heard.throttling_level);
            newest = Some(heard);
        }
        time::sleep(LOOK).await;
    }
    Ok(changes)
}
