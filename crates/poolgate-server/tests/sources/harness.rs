//! One PostgreSQL for all tests of this file, with a database and a PgBouncer for each.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use poolgate_server::{Poolgate, Settings, WatchedPool};
use poolgate_test_postgres::{PgBouncer, Postgres};
use serde_json::Value;
use sqlx::{ConnectOptions, Executor, PgConnection, postgres::PgConnectOptions, raw_sql};
use tokio::task::JoinHandle;
use tower::ServiceExt;

/// Longer than any wait in these tests.
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

/// Connection options for the simple protocol, which works through a pooler in transaction mode.
pub(crate) fn options(url: &str) -> PgConnectOptions {
    let options: PgConnectOptions = url.parse().expect("a URL");
    options.extra_float_digits(None).statement_cache_capacity(0)
}

pub(crate) async fn connect(url: &str) -> PgConnection {
    options(url).connect().await.expect("connected")
}

/// A client that runs a statement in the background.
pub(crate) fn run(url: &str, statement: &'static str) -> JoinHandle<()> {
    let options = options(url);
    tokio::spawn(async move {
        // Statements that last for the whole test are aborted at its end.
        if let Ok(mut connection) = options.connect().await {
            let _ = connection.execute(raw_sql(statement)).await;
        }
    })
}

/// A Poolgate that watches this source.
pub(crate) fn watch(source: impl WatchedPool) -> Poolgate {
    Poolgate::builder(source).settings(Settings::default()).start()
}

/// The answer of a health route.
pub(crate) async fn ask(poolgate: &Poolgate, path: &str) -> Value {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let response = poolgate.routes().oneshot(request).await.expect("infallible");
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    serde_json::from_slice(&body).expect("JSON")
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "not {what} within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The message for a source that cannot be read, with its advice.
pub(crate) async fn trouble(source: &impl WatchedPool) -> String {
    source.refresh().expect("elsewhere").await;
    source.connect_history().error.expect("it cannot be read").to_string()
}
