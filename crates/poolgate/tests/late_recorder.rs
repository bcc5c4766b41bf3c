//! A metrics recorder that is installed after Poolgate was started, in a process of its own.

use std::time::Duration;

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use poolgate::telemetry::Prometheus;
use poolgate_pool::{Pool, sqlite_options};
use poolgate_server::Poolgate;
use poolgate_types::routes;
use sqlx::{Sqlite, sqlite::SqlitePoolOptions};
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

async fn metrics(poolgate: &Poolgate) -> String {
    let request = Request::get(routes::METRICS).body(Body::empty()).expect("a request");
    let response = poolgate.routes().oneshot(request).await.expect("infallible");
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    String::from_utf8(body.to_vec()).expect("text")
}

#[tokio::test]
async fn a_recorder_that_is_installed_late_gets_the_waits() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = folder.path().join("test.db");
    let pool = Pool::<Sqlite>::builder(sqlite_options(&file)).build().expect("a pool");
    let _poolgate = Poolgate::builder(pool.clone()).start();

    let renderer = Prometheus::install().expect("the only one in this process");
    let other = SqlitePoolOptions::new().connect_lazy_with(sqlite_options(&file));
    let reader = Poolgate::builder(other).metrics(renderer).start();
    let recorded = async {
        loop {
            drop(pool.acquire().await.expect("a connection"));
            let text = metrics(&reader).await;
            let has = |name: &str| text.lines().any(|line| line.starts_with(name) && !line.ends_with(" 0"));
            if has("db_client_connection_wait_time_seconds_count{pool=\"main\"}")
                && has("db_client_connection_use_time_seconds_count{pool=\"main\"}")
            {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(10), recorded).await.expect("recorded");
}
