//! The metrics, in a separate process, because a process has one recorder.

use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use poolgate::telemetry::Prometheus;
use poolgate_pool::{Pool, PoolConfig, sqlite_options};
use poolgate_server::Poolgate;
use poolgate_types::routes;
use sqlx::{Sqlite, sqlite::SqlitePoolOptions};
use tower::ServiceExt;

async fn ask(poolgate: &Poolgate) -> (StatusCode, String) {
    let request = Request::get(routes::METRICS).body(Body::empty()).expect("a request");
    let response = poolgate.routes().oneshot(request).await.expect("infallible");
    let status = response.status();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

#[tokio::test]
async fn metrics_have_their_names_from_the_start() {
    let renderer = Prometheus::install().expect("the only one in this process");
    let folder = tempfile::TempDir::new().expect("a folder");
    let builder = || {
        let config = PoolConfig { size: 2, max_overflow: 1, ..PoolConfig::default() };
        Pool::<Sqlite>::builder(sqlite_options(folder.path().join("test.db"))).config(config)
    };
    // Without reports there is no value, not even 0: a `sqlx::Pool` has no observer.
    let other = SqlitePoolOptions::new().connect_lazy_with(sqlite_options(folder.path().join("test.db")));
    let unobserved = Poolgate::builder(other).metrics(renderer.clone()).start();
    let (_, text) = ask(&unobserved).await;
    for name in
        ["poolgate_connections_", "db_client_connection_timeouts_total", "db_client_connection_wait_time_seconds"]
    {
        assert!(!text.contains(name), "{name}\n{text}");
    }
    assert!(text.contains("poolgate_requests_total{outcome=\"admitted\"} 0"), "{text}");
    unobserved.close();

    let without = Poolgate::builder(builder().build().expect("a pool")).start();
    assert_eq!(ask(&without).await.0, StatusCode::NOT_FOUND, "none was given");
    without.close();

    let pool = builder().build().expect("a pool");
    let poolgate = Poolgate::builder(pool.clone()).metrics(renderer).start();
    drop(pool.acquire().await.expect("a connection"));
    // A few ticks, so that every gauge is set.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (status, text) = ask(&poolgate).await;
    assert_eq!(status, StatusCode::OK);
    for line in [
        "db_client_connection_count{pool=\"main\",state=\"idle\"} ",
        "db_client_connection_count{pool=\"main\",state=\"used\"} ",
        "db_client_connection_max{pool=\"main\"} 3",
        "db_client_connection_idle_max{pool=\"main\"} 2",
        "db_client_connection_pending_requests{pool=\"main\"} 0",
        "db_client_connection_timeouts_total{pool=\"main\"} 0",
        "poolgate_connections_opened_total{pool=\"main\"} 1",
        "poolgate_connections_failed_total{pool=\"main\"} 0",
        "poolgate_connections_closed_total{pool=\"main\",reason=\"surplus\"} 0",
        "poolgate_connections_closed_total{pool=\"main\",reason=\"pool_closed\"} 0",
        "poolgate_oldest_checkout_age_seconds{pool=\"main\"} 0",
        "poolgate_pool_efficiency_ratio{pool=\"main\"} ",
        "poolgate_usage_ratio{of=\"pool\"} ",
        "poolgate_usage_ratio{of=\"gate\"} 0",
        "poolgate_throttle_level 0",
        "poolgate_throttle_level_seconds_total{level=\"EMERGENCY\"} 0",
        "poolgate_circuit_state 0",
        "poolgate_fair_rate_per_second 0",
        "poolgate_requests_total{outcome=\"admitted\"} 0",
        "poolgate_requests_total{outcome=\"rejected\"} 0",
        "poolgate_requests_total{outcome=\"quota\"} 0",
        "poolgate_failed_requests_total 0",
        "poolgate_alert_severity{kind=\"database_silent\"} 0",
        "poolgate_clients 0",
        "poolgate_cleanup_runs_total{trigger=\"manual\",outcome=\"nothing\"} 0",
        "poolgate_cleanup_runs_total{trigger=\"automatic\",outcome=\"idle_closed\"} 0",
        "poolgate_cleanup_ended_total{what=\"lease\"} 0",
        "poolgate_build_info{version=",
        "db_client_connection_wait_time_seconds_count{pool=\"main\"} 1",
        "db_client_connection_use_time_seconds_count{pool=\"main\"} 1",
        "db_client_connection_create_time_seconds_bucket{pool=\"main\",le=\"0.005\"} ",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line}\n{text}");
    }
}
