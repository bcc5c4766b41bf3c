//! PostgreSQL that goes away, comes back, or accepts connections and never answers.

use std::time::{Duration, Instant};

use axum::{Router, routing::get};
use http::StatusCode;
use poolgate_pool::{AcquireError, Pool, PoolConfig};
use poolgate_server::{Poolgate, Settings, WatchedPool};
use poolgate_test_harness::{PATIENCE, Server, eventually};
use poolgate_test_postgres::Postgres;
use poolgate_types::{Backend, CircuitState, routes};
use sqlx::{Any, Connection, PgConnection, postgres::PgConnectOptions};

fn start(pool: impl WatchedPool + Clone, own: Router) -> (Poolgate, Server<()>) {
    let poolgate = Poolgate::builder(pool).settings(Settings::default()).start();
    let own = own.layer(poolgate.gate());
    let app = poolgate_server::app(&poolgate, own);
    (poolgate.clone(), Server::new(poolgate, (), app, tempfile::TempDir::new().expect("a folder")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_goes_away_and_comes_back() {
    let mut postgres = tokio::task::spawn_blocking(Postgres::start).await.expect("joined").expect("PostgreSQL");
    sqlx::any::install_default_drivers();
    let pool = Pool::<Any>::builder(postgres.url("postgres").parse().expect("a URL"))
        .config(PoolConfig {
            size: 3,
            max_overflow: 0,
            acquire_timeout: Duration::from_secs(2),
            ..PoolConfig::default()
        })
        .build()
        .expect("a pool");
    let work = {
        let pool = pool.clone();
        async move || match pool.acquire().await {
            Ok(mut lease) => match lease.ping().await {
                Ok(()) => StatusCode::OK,
                Err(_) => StatusCode::SERVICE_UNAVAILABLE,
            },
            Err(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    };
    let (poolgate, server) = start(pool, Router::new().route("/work", get(work)));
    eventually("ready", || poolgate.readiness().missing().is_none()).await;
    assert_eq!(server.get("/work").await.status, StatusCode::OK);
    let test = server.get(routes::CONNECTION_TEST).await.json();
    assert_eq!(test["backend"], "postgres", "{test}");
    assert_eq!(poolgate.status().pool.backend, Backend::Postgres, "the first connection tells");

    postgres.kill().expect("killed");
    // The next request that needs the database notices at once.
    assert_eq!(server.get("/work").await.status, StatusCode::SERVICE_UNAVAILABLE);
    eventually("open", || poolgate.status().circuit_breaker != CircuitState::Closed).await;
    let status = server.get(routes::STATUS).await;
    assert_eq!(
        (status.status, status.problem().code.as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "database_unavailable")
    );
    assert_eq!(server.get(routes::PING).await.status, StatusCode::OK);
    assert_eq!(server.get(routes::READYZ).await.status, StatusCode::OK, "another replica would not do better");

    tokio::task::spawn_blocking(move || postgres.start_again().map(|()| postgres))
        .await
        .expect("joined")
        .map(|postgres| async move {
            eventually("closed", || poolgate.status().circuit_breaker == CircuitState::Closed).await;
            assert_eq!(server.get("/work").await.status, StatusCode::OK);
            assert_eq!(server.get(routes::STATUS).await.status, StatusCode::OK);
            drop(postgres);
        })
        .expect("PostgreSQL again")
        .await;
}

/// A server without a slot for the pool is an outage. The monitor does not check more often, and the pool learns it
/// from the monitor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_is_not_hammered_by_monitor_and_pool() {
    const SLOTS: usize = 4;
    let postgres = tokio::task::spawn_blocking(|| Postgres::start_with_max_connections(SLOTS as u32));
    let postgres = postgres.await.expect("joined").expect("PostgreSQL");
    let mut others = Vec::new();
    for _ in 0..SLOTS {
        others.push(PgConnection::connect(&postgres.url("postgres")).await.expect("a slot"));
    }
    let attempts = || postgres.log().matches("sorry, too many clients already").count();
    let before = attempts();
    let pool =
        Pool::<sqlx::Postgres>::builder(postgres.url("postgres").parse().expect("a URL")).build().expect("a pool");
    let work = {
        let pool = pool.clone();
        async move || match pool.acquire().await {
            Ok(_lease) => StatusCode::OK,
            Err(AcquireError::ServerFull(_)) => StatusCode::SERVICE_UNAVAILABLE,
            Err(error) => panic!("{error}"),
        }
    };
    let began = Instant::now();
    let (poolgate, server) = start(pool, Router::new().route("/work", get(work)));
    let mut refused = 0;
    while began.elapsed() < Duration::from_secs(4) {
        assert_eq!(server.get("/work").await.status, StatusCode::SERVICE_UNAVAILABLE);
        refused += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Two checks of the monitor at the start, the first attempt of the pool, and one a second of monitor or pool.
    let (asked, allowed) = (attempts() - before, 3 + began.elapsed().as_secs() as usize);
    println!("{refused} requests were refused, {asked} attempts reached the server");
    assert!(asked <= allowed && refused > allowed, "{asked} attempts for {refused} requests");
    assert_ne!(poolgate.status().circuit_breaker, CircuitState::Closed);

    drop(others);
    let back = Instant::now();
    while server.get("/work").await.status != StatusCode::OK {
        assert!(back.elapsed() < PATIENCE, "no room was found");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_database_that_accepts_and_never_answers() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let options = PgConnectOptions::new().host("127.0.0.1").port(port).username("nobody").database("nothing");
    let pool = Pool::<sqlx::Postgres>::builder(options).build().expect("a pool");
    let (poolgate, server) = start(pool, Router::new().route("/", get(async || ())));
    eventually("open", || poolgate.config().circuit_breaker_open).await;
    assert_eq!(server.get(routes::STATUS).await.status, StatusCode::SERVICE_UNAVAILABLE);
    let begun = std::time::Instant::now();
    assert_eq!(server.get(routes::CONNECTION_TEST).await.problem().code, "database_unavailable");
    assert!(begun.elapsed() < Duration::from_millis(2500), "bounded: {:?}", begun.elapsed());
    drop(listener);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_monitor_follows_the_pool_to_another_server() {
    let postgres = tokio::task::spawn_blocking(Postgres::start).await.expect("joined").expect("PostgreSQL");
    let elsewhere = postgres.create_database("elsewhere").expect("a database");
    sqlx::any::install_default_drivers();
    let pool = Pool::<Any>::builder(postgres.url("postgres").parse().expect("a URL")).build().expect("a pool");
    let (poolgate, _server) = start(pool.clone(), Router::new());
    eventually("ready", || poolgate.readiness().missing().is_none()).await;
    let asked_in = || {
        let own = "pid <> pg_backend_pid() AND backend_type = 'client backend'";
        postgres.sql("postgres", &format!("SELECT datname FROM pg_stat_activity WHERE {own}")).expect("the sessions")
    };
    assert_eq!(asked_in().trim(), "postgres", "one session, which is asked");

    pool.set_connect_options(elsewhere.parse().expect("a URL"));
    eventually("asked elsewhere, and nowhere else", || asked_in().trim() == "elsewhere").await;
}
