//! One PostgreSQL for all tests of a process, and a PgBouncer for each that needs one.

use std::sync::LazyLock;

use poolgate_test_postgres::{PgBouncer, Postgres};
use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};

static POSTGRES: LazyLock<Postgres> = LazyLock::new(|| Postgres::start().expect("PostgreSQL"));

/// The server; only the first caller waits for its start.
pub async fn postgres() -> &'static Postgres {
    tokio::task::spawn_blocking(|| &*POSTGRES).await.expect("joined")
}

/// A pooler with these settings in front of a database.
pub async fn pooler(
    postgres: &'static Postgres,
    database: &'static str,
    settings: &'static [&'static str],
) -> PgBouncer {
    let start = move || PgBouncer::start(postgres, database, settings);
    tokio::task::spawn_blocking(start).await.expect("joined").expect("PgBouncer")
}

/// Connection options for the simple protocol, which works through a pooler in transaction mode.
pub fn options(url: &str) -> PgConnectOptions {
    let options: PgConnectOptions = url.parse().expect("a URL");
    options.extra_float_digits(None).statement_cache_capacity(0)
}

/// Connects with these [`options`].
pub async fn connect(url: &str) -> PgConnection {
    options(url).connect().await.expect("connected")
}
