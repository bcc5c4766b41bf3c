//! An app over a real SQLite file, to be served.

use std::time::{Duration, Instant};

use axum::{Router, body::Body, response::Response};
use http::Request;
use poolgate_pool::{Pool, PoolConfig, sqlite_options};
use poolgate_server::{Poolgate, Settings};
use sqlx::Sqlite;
use tempfile::TempDir;
use tower::ServiceExt;

/// Longer than anything that is waited for takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Server {
    pub(crate) poolgate: Poolgate,
    pub(crate) pool: Pool<Sqlite>,
    pub(crate) app: Router,
    _folder: TempDir,
}

/// A ready app with the health routes and `own`, which gets the pool and the handle.
pub(crate) async fn server_with(
    change: impl FnOnce(&mut Settings),
    own: impl FnOnce(&Pool<Sqlite>, &Poolgate) -> Router,
) -> Server {
    let folder = TempDir::new().expect("a folder");
    let mut settings = Settings::default();
    settings.pool.size = 2;
    settings.pool.max_overflow = 1;
    change(&mut settings);
    settings.check().expect("possible settings");
    let pool = Pool::<Sqlite>::builder(sqlite_options(folder.path().join("test.db")))
        .config(PoolConfig { size: 2, max_overflow: 1, ..PoolConfig::default() })
        .build()
        .expect("a pool");
    let poolgate = Poolgate::builder(pool.clone()).settings(settings).start();
    let app = poolgate_server::app(&poolgate, own(&pool, &poolgate));
    eventually("ready", || poolgate.readiness().missing().is_none()).await;
    Server { poolgate, pool, app, _folder: folder }
}

/// The same with the health routes alone.
pub(crate) async fn server(change: impl FnOnce(&mut Settings)) -> Server {
    server_with(change, |_, _| Router::new()).await
}

impl Server {
    /// Asks the app without a connection.
    pub(crate) async fn get(&self, path: &str) -> Response {
        let request = Request::get(path).header("host", "localhost:8000").body(Body::empty()).expect("a request");
        self.app.clone().oneshot(request).await.expect("infallible")
    }
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "not {what} within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
