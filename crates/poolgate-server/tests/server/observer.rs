//! Poolgate observes the pool that it is built with.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};
use std::time::Duration;

use axum::{Router, body::Body, extract::Request, routing::get};
use http::StatusCode;
use poolgate_pool::{Observer, Pool, PoolConfig, sqlite_options};
use poolgate_server::Poolgate;
use sqlx::Sqlite;
use tempfile::TempDir;
use tower::ServiceExt;

use poolgate_test_harness::eventually;

fn pool(folder: &TempDir, observer: Arc<dyn Observer>) -> Pool<Sqlite> {
    let config = PoolConfig { size: 1, max_overflow: 0, ..PoolConfig::default() };
    let options = sqlite_options(folder.path().join("test.db"));
    Pool::builder(options).config(config).observer(observer).build().expect("a pool")
}

/// Ten requests at the same time for one connection, each of which holds it for 20 ms.
async fn load(poolgate: &Poolgate, pool: &Pool<Sqlite>) {
    let pool = pool.clone();
    let work = async move || {
        let _lease = pool.acquire().await.expect("a connection");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let app = Router::new().route("/work", get(work)).layer(poolgate.gate());
    let requests = (0..10).map(|_| {
        let app = app.clone();
        tokio::spawn(async move { app.oneshot(Request::get("/work").body(Body::empty()).expect("a request")).await })
    });
    for request in requests.collect::<Vec<_>>() {
        assert_eq!(request.await.expect("joined").expect("infallible").status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn an_app_that_only_starts_poolgate_sees_how_long_callers_wait() {
    let folder = TempDir::new().expect("a folder");
    let pool = pool(&folder, Arc::new(()));
    let poolgate = Poolgate::builder(pool.clone()).start();
    load(&poolgate, &pool).await;
    eventually("waits", || {
        let waits = poolgate.status().performance.acquire_wait_ms;
        waits.is_some_and(|waits| waits.p99 >= 100.0)
    })
    .await;
}

#[tokio::test]
async fn an_observer_of_the_app_gets_all_reports_as_well() {
    #[derive(Default)]
    struct Count(AtomicU32);

    impl Observer for Count {
        fn acquired(&self, _wait: Duration) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    let folder = TempDir::new().expect("a folder");
    let count = Arc::new(Count::default());
    let pool = pool(&folder, Arc::clone(&count) as Arc<dyn Observer>);
    let poolgate = Poolgate::builder(pool.clone()).start();
    load(&poolgate, &pool).await;
    assert_eq!(count.0.load(Relaxed), 10);
    eventually("waits", || poolgate.status().performance.acquire_wait_ms.is_some()).await;
}

#[tokio::test]
async fn a_second_poolgate_on_the_same_pool_says_that_waits_are_unknown() {
    let folder = TempDir::new().expect("a folder");
    let pool = pool(&folder, Arc::new(()));
    let first = Poolgate::builder(pool.clone()).start();
    let second = Poolgate::builder(pool.clone()).start();
    load(&first, &pool).await;
    eventually("waits", || first.status().performance.acquire_wait_ms.is_some()).await;
    assert!(second.status().performance.acquire_wait_ms.is_none());
}
