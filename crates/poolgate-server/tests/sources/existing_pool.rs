//! An app's own `sqlx::Pool`, with Poolgate's gate and monitor.

use std::time::{Duration, Instant};

use crate::harness::ask;
use axum::{Router, body::Body, extract::State, routing::get};
use http::{Request, StatusCode};
use poolgate_server::{Poolgate, Settings};
use poolgate_test_harness::{eventually, sources::postgres};
use poolgate_types::routes;
use sqlx::{PgPool, postgres::PgPoolOptions};
use tower::ServiceExt;

async fn sleep(State(pool): State<PgPool>) -> StatusCode {
    match sqlx::query("SELECT pg_sleep(0.3)").execute(&pool).await {
        Ok(_) => StatusCode::OK,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_keeps_its_pool_and_gets_gate_and_monitor() {
    let postgres = postgres().await;
    let url = postgres.create_database("existing").expect("created");
    let pool = PgPoolOptions::new().max_connections(4).connect(&url).await.expect("connected");
    let mut settings = Settings::default();
    settings.gate.max_concurrent_requests = 3;
    settings.gate.timeout = Duration::from_millis(50);
    let poolgate = Poolgate::builder(pool.clone()).settings(settings).start();
    let app = Router::new().route("/", get(sleep)).with_state(pool.clone()).layer(poolgate.gate());
    eventually("ready", || poolgate.readiness().missing().is_none()).await;

    let request = || tokio::spawn(app.clone().oneshot(Request::get("/").body(Body::empty()).expect("a request")));
    let requests: Vec<_> = (0..5).map(|_| request()).collect();
    eventually("busy", || poolgate.status().pool.checked_out == 3).await;
    let mut statuses = Vec::new();
    for request in requests {
        statuses.push(request.await.expect("joined").expect("infallible").status());
    }
    statuses.sort();
    let (served, turned_away) = (StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(statuses, [served, served, served, turned_away, turned_away], "three permits");
    eventually("idle", || {
        let pool = poolgate.status().pool;
        (pool.capacity, pool.checked_out, pool.idle) == (4, 0, 3)
    })
    .await;
    let status = ask(&poolgate, routes::STATUS).await;
    assert!(status["pool"]["waiting"].is_null() && status["performance"]["pool_efficiency"].is_null(), "{status}");
    assert_eq!(status["gate"]["rejected_total"], 2);
    assert_eq!(ask(&poolgate, routes::CONNECTION_TEST).await["ok"], true);

    // sqlx waits for the lease before it closes anything; that must not delay the shutdown.
    let lease = pool.acquire().await.expect("a connection");
    let begun = Instant::now();
    let drained = poolgate.shutdown(Duration::from_millis(500)).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!((drained.idle_closed, drained.leases_left, drained.connections_left), (2, 1, 1));
    drop(lease);
}
