//! A database that is down at the start: the server starts, reports it, and recovers.

use std::time::Duration;

use axum::{Router, routing::get};
use http::StatusCode;
use poolgate_pool::{Pool, PoolConfig, sqlite_options};
use poolgate_server::{Poolgate, Settings};
use poolgate_test_harness::{Server, eventually};
use poolgate_types::{Backend, CircuitState, Health, Level, routes};
use sqlx::Sqlite;

#[tokio::test]
async fn the_start_waits_for_a_database_that_is_down() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = folder.path().join("later.db");
    let options = sqlite_options(&file).create_if_missing(false);
    let config =
        PoolConfig { size: 2, max_overflow: 0, acquire_timeout: Duration::from_secs(1), ..PoolConfig::default() };
    let pool = Pool::<Sqlite>::builder(options).config(config).build().expect("a pool");
    let poolgate = Poolgate::builder(pool.clone()).settings(Settings::default()).start();
    let orders = {
        let pool = pool.clone();
        async move || match pool.acquire().await {
            Ok(_lease) => StatusCode::OK,
            Err(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    };
    let own = Router::new().route("/orders", get(orders)).layer(poolgate.gate());
    let server = Server::new(poolgate.clone(), pool, poolgate_server::app(&poolgate, own), folder);

    eventually("open", || poolgate.config().circuit_breaker_open).await;
    let status = server.get(routes::STATUS).await;
    assert_eq!(status.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(status.problem().code, "database_unavailable");
    let members = status.json();
    assert_eq!((members["health"].as_str(), members["pool"]["capacity"].as_u64()), (Some("CRITICAL"), Some(2)));
    let config = poolgate.config();
    assert_eq!((config.throttling_level, config.health), (Level::Emergency, Health::Critical));
    assert_eq!(server.get(routes::PING).await.status, StatusCode::OK);
    assert_eq!(server.get(routes::THROTTLING_CONFIG).await.status, StatusCode::OK);
    assert_eq!(server.get(routes::LIVEZ).await.status, StatusCode::OK);
    assert_eq!(server.get(routes::READYZ).await.problem().code, "not_ready");
    assert_eq!(server.get(routes::CONNECTION_TEST).await.problem().code, "database_unavailable");
    let rejected = server.get("/orders").await;
    assert_eq!(rejected.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(rejected.header("poolgate-config").ends_with("open=?1"), "{}", rejected.header("poolgate-config"));
    assert!(rejected.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds >= 1));

    std::fs::write(&file, b"").expect("an empty file is an empty database");
    eventually("recovered", || {
        let status = poolgate.status();
        status.circuit_breaker == CircuitState::Closed && status.health == Health::Healthy
    })
    .await;
    eventually("ready", || poolgate.readiness().missing().is_none()).await;
    assert_eq!(server.get(routes::STATUS).await.status, StatusCode::OK);
    assert_eq!(server.get("/orders").await.status, StatusCode::OK);
    assert_eq!(poolgate.status().pool.backend, Backend::Sqlite);
}
