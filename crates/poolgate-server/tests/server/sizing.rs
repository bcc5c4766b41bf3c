//! The forecast, and a pool that follows it on a real PostgreSQL with few slots.

use std::time::{Duration, Instant};

use axum::{Router, routing::get};
use http::StatusCode;
use poolgate_pool::{Pool, PoolConfig, PostgresSession, sqlite_options};
use poolgate_server::{Poolgate, Settings, settings::SizingSettings};
use poolgate_test_harness::{Server, eventually, server};
use poolgate_test_postgres::Postgres as Database;
use sqlx::{Executor, Postgres, Sqlite};
use tokio::task::JoinSet;

/// 13 connections; 3 are for superusers, one is left to others; of the remaining 9, two are the monitor's.
const MAX_CONNECTIONS: u32 = 13;

async fn serve(database: &Database, predictive: bool) -> Server<Pool<Postgres>> {
    serve_at(&database.url("postgres"), |sizing| sizing.predictive = predictive).await
}

async fn serve_at(url: &str, change: impl FnOnce(&mut SizingSettings)) -> Server<Pool<Postgres>> {
    let mut settings = Settings::default();
    (settings.pool.size, settings.pool.max_overflow) = (2, 0);
    settings.gate.max_concurrent_requests = 2;
    settings.sizing.horizon = Duration::from_secs(2);
    change(&mut settings.sizing);
    settings.check().expect("possible settings");
    let pool = Pool::<Postgres>::builder(url.parse().expect("a URL"))
        .config(PoolConfig { size: 2, max_overflow: 0, ..PoolConfig::default() })
        .postgres(PostgresSession::default())
        .build()
        .expect("a pool");
    let poolgate = Poolgate::builder(pool.clone()).settings(settings).start();
    let work = {
        let pool = pool.clone();
        async move || {
            let Ok(mut lease) = pool.acquire().await else { return StatusCode::SERVICE_UNAVAILABLE };
            match lease.execute("SELECT pg_sleep(0.3)").await {
                Ok(_) => StatusCode::OK,
                Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
            }
        }
    };
    let app = poolgate_server::app(&poolgate, Router::new().route("/work", get(work)).layer(poolgate.gate()));
    let server = Server::new(poolgate, pool, app, tempfile::TempDir::new().expect("a folder"));
    eventually("ready", || server.poolgate.readiness().missing().is_none()).await;
    server
}

/// The sizes of pool and gate.
fn sizes(server: &Server<Pool<Postgres>>) -> (u32, u32) {
    let gate = server.poolgate.status().gate.expect("requests pass it");
    (server.pool.counts().pool_size, gate.max_concurrent_requests)
}

/// Sends requests at a steady rate; returns how many were served.
async fn demand(server: &Server<Pool<Postgres>>, per_second: u32, seconds: u32) -> u32 {
    let mut requests = JoinSet::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
    for _ in 0..per_second * seconds {
        ticks.tick().await;
        let service = server.app.clone();
        requests.spawn(async move {
            let request = http::Request::get("/work").header("host", "localhost:8000").body(axum::body::Body::empty());
            let response = tower::ServiceExt::oneshot(service, request.expect("a request")).await.expect("infallible");
            response.status()
        });
    }
    let statuses = requests.join_all().await;
    assert!(statuses.iter().all(|status| *status != StatusCode::INTERNAL_SERVER_ERROR), "a query has failed");
    statuses.into_iter().filter(|status| *status == StatusCode::OK).count() as u32
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pool_follows_the_forecast_up_to_the_servers_free_slots() {
    let database = tokio::task::spawn_blocking(|| Database::start_with_max_connections(MAX_CONNECTIONS));
    let database = database.await.expect("joined").expect("PostgreSQL");
    let fixed = serve(&database, false).await;
    let served_fixed = demand(&fixed, 20, 5).await;
    assert_eq!(sizes(&fixed), (2, 2), "off by default");
    let status = fixed.poolgate.status();
    let forecast = status.forecast.expect("shown all the same");
    assert!((10.0..40.0).contains(&forecast.arrivals_per_second), "{forecast:?}");
    fixed.poolgate.shutdown(Duration::from_secs(5)).await;

    let server = serve(&database, true).await;
    let served = demand(&server, 20, 8).await;
    let status = server.poolgate.status();
    println!("{served_fixed} of 100 served by a fixed pool, {served} of 160 by one of {}", status.pool.pool_size);
    assert!((5..=9).contains(&status.pool.pool_size), "{:?}", status.pool);
    assert_eq!(sizes(&server), (status.pool.pool_size, status.pool.pool_size), "the gate goes with it");
    assert_eq!(server.pool.connect_history().consecutive_failures, 0, "the server was never full");
    assert!(served * 100 > served_fixed * 160, "{served} of 160, {served_fixed} of 100");
}

/// A database and a role with limits, and the size of a pool there that wants to be much larger.
async fn grown(server: &Database, name: &str, role: &str, limits: &str, replicas: u32) -> u32 {
    let url = server.create_database(name).expect("created").replace("//postgres@", &format!("//{role}@"));
    server.sql("postgres", limits).expect("altered");
    let change = |sizing: &mut SizingSettings| {
        (sizing.predictive, sizing.ceiling, sizing.replicas) = (true, 12, replicas);
    };
    let server = serve_at(&url, change).await;
    // 15 in use at the same time.
    demand(&server, 50, 5).await;
    let counts = server.pool.counts();
    assert!(counts.open() <= counts.pool_size, "{counts:?}");
    assert!(
        server.pool.connect_history().error.is_none(),
        "the server was never full: {:?}",
        server.pool.connect_history()
    );
    server.poolgate.shutdown(Duration::from_secs(5)).await;
    counts.pool_size
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_grows_up_to_the_limits_of_role_database_and_replicas() {
    let database = tokio::task::spawn_blocking(Database::start).await.expect("joined").expect("PostgreSQL");
    let grown = |name, role, limits, replicas| grown(&database, name, role, limits, replicas);
    let (free, by_role, by_database, shared, superuser) = tokio::join!(
        grown("free", "free", "CREATE ROLE free LOGIN", 1),
        grown("by_role", "few", "CREATE ROLE few LOGIN; ALTER ROLE few CONNECTION LIMIT 10", 1),
        grown("by_database", "many", "CREATE ROLE many LOGIN; ALTER DATABASE by_database CONNECTION LIMIT 12", 1),
        grown("shared", "three", "CREATE ROLE three LOGIN; ALTER ROLE three CONNECTION LIMIT 20", 3),
        grown(
            "unlimited",
            "admin",
            "CREATE ROLE admin LOGIN SUPERUSER CONNECTION LIMIT 3; ALTER DATABASE unlimited CONNECTION LIMIT 3",
            1
        ),
    );
    assert_eq!(free, 12, "sizing.ceiling");
    // Two connections are the monitor's; the second may be opened after the query.
    assert!(matches!(by_role, 7 | 8), "of ten, less one that is left alone: {by_role}");
    assert!(matches!(by_database, 8 | 9), "of twelve, less two that are left alone: {by_database}");
    assert_eq!(shared, 6, "of twenty, less two that are left alone, a third");
    assert_eq!(superuser, 12, "such limits do not hold for superusers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gate_and_pool_stay_in_step_when_the_app_resizes_the_pool() {
    let database = tokio::task::spawn_blocking(Database::start).await.expect("joined").expect("PostgreSQL");
    let server = serve(&database, true).await;
    for size in [7, 1, 5] {
        server.pool.resize(size, 0).expect("possible");
        eventually("back at what the forecast asks for", || sizes(&server) == (2, 2)).await;
    }
    demand(&server, 20, 4).await;
    assert!(sizes(&server).0 > 2, "{:?}", sizes(&server));
    let in_step = || {
        let (pool, gate) = sizes(&server);
        pool == gate
    };
    eventually("in step", in_step).await;
}

#[tokio::test]
async fn requests_rejected_by_an_open_breaker_are_no_demand() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let absent = sqlite_options(folder.path().join("absent.db")).create_if_missing(false);
    let pool = Pool::<Sqlite>::builder(absent).build().expect("a pool");
    let mut settings = Settings::default();
    settings.gate.max_concurrent_requests = 2;
    let poolgate = Poolgate::builder(pool.clone()).settings(settings).start();
    let work = {
        let pool = pool.clone();
        async move || pool.acquire().await.map(drop).map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
    };
    let app = Router::new().route("/work", get(work)).layer(poolgate.gate());
    let app = poolgate_server::app(&poolgate, app);
    let server = Server::new(poolgate, pool, app, folder);
    eventually("open", || server.poolgate.config().circuit_breaker_open).await;
    let (begun, mut turned_away) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(3) {
        turned_away += u32::from(server.get("/work").await.status == StatusCode::SERVICE_UNAVAILABLE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let forecast = server.poolgate.status().forecast.expect("looked ahead").arrivals_per_second;
    // Probes are admitted, at most two a second.
    assert!(turned_away > 200 && forecast < 10.0, "{turned_away} rejected in 3 s, {forecast} a second expected");
}

#[tokio::test]
async fn sqlite_has_a_forecast_too() {
    let server = server(|_| {}).await;
    eventually("a forecast", || server.poolgate.status().forecast.is_some()).await;
}
