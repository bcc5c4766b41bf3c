//! One PostgreSQL for all tests of this file, and a PgBouncer for each.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use poolgate_test_postgres::{PgBouncer, Postgres};
use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};

/// Longer than anything that is waited for takes.
const PATIENCE: Duration = Duration::from_secs(15);

static POSTGRES: LazyLock<Postgres> = LazyLock::new(|| Postgres::start().expect("PostgreSQL"));

/// The server; only the first caller waits for its start.
pub(crate) async fn postgres() -> &'static Postgres {
    tokio::task::spawn_blocking(|| &*POSTGRES).await.expect("joined")
}

/// A pooler with these settings in front of a database.
pub(crate) async fn pooler(
    postgres: &'static Postgres,
    database: &'static str,
    settings: &'static [&'static str],
) -> PgBouncer {
    let start = move || PgBouncer::start(postgres, database, settings);
    tokio::task::spawn_blocking(start).await.expect("joined").expect("PgBouncer")
}

/// Connects by the simple protocol, which works through a pooler in transaction mode.
pub(crate) async fn connect(url: &str) -> PgConnection {
    let options: PgConnectOptions = url.parse().expect("a URL");
    options.extra_float_digits(None).statement_cache_capacity(0).connect().await.expect("connected")
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "not {what} within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
