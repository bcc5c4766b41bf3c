//! PostgreSQL, watched through `pg_stat_activity`.

use std::time::Duration;

use crate::harness::{ask, run, trouble, watch};
use poolgate_server::{PostgresServer, WatchedPool};
use poolgate_test_harness::{
    eventually,
    sources::{connect, options, postgres},
};
use poolgate_types::{AlertKind, CircuitState, Level, Reason, routes};
use sqlx::{Executor, raw_sql};

/// Two working sessions, one idle in a transaction and one idle.
async fn four_sessions(url: &str) -> (Vec<tokio::task::JoinHandle<()>>, Vec<sqlx::PgConnection>) {
    let working = (0..2).map(|_| run(url, "SELECT pg_sleep(60)")).collect();
    let mut holding = connect(url).await;
    holding.execute(raw_sql("BEGIN; SELECT 1")).await.expect("begun");
    (working, vec![holding, connect(url).await])
}

#[tokio::test]
async fn working_sessions_are_in_use_and_waiting_requests_are_unknown() {
    let postgres = postgres().await;
    let url = postgres.create_database("at_work").expect("created");
    postgres.sql("postgres", "CREATE ROLE watcher LOGIN; GRANT pg_monitor TO watcher").expect("created");
    let _sessions = four_sessions(&url).await;
    let watcher = url.replace("//postgres@", "//watcher@");
    let poolgate = watch(PostgresServer::new(options(&watcher)));
    eventually("seen", || {
        let pool = poolgate.status().pool;
        (pool.checked_out, pool.idle) == (3, 1) && pool.oldest_checkout_seconds.is_some_and(|age| age > 0.0)
    })
    .await;
    let status = ask(&poolgate, routes::STATUS).await;
    assert!(status["pool"]["waiting"].is_null() && status["performance"]["acquire_wait_ms"].is_null(), "{status}");
    // 100, less three for superusers, less those of the other tests' databases.
    let capacity = poolgate.status().pool.capacity;
    assert!((20..=97).contains(&capacity), "{capacity}");
    postgres.sql("postgres", "ALTER DATABASE at_work CONNECTION LIMIT 11").expect("altered");
    eventually("limited", || poolgate.status().pool.capacity == 11).await;
    assert!(poolgate.status().alerts.iter().all(|alert| alert.kind != AlertKind::PartialView));

    let standing = "SELECT count(*), min(backend_start) FROM pg_stat_activity WHERE application_name = 'poolgate-watch' \
                    AND datname = 'at_work'";
    let before = postgres.sql("postgres", standing).expect("asked");
    assert!(before.starts_with("1|"), "{before}");
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(postgres.sql("postgres", standing).expect("asked"), before, "one connection, and always the same");
}

#[tokio::test]
async fn without_the_privilege_it_says_so_instead_of_showing_idle() {
    let postgres = postgres().await;
    let url = postgres.create_database("hidden").expect("created");
    postgres.sql("postgres", "CREATE ROLE plain LOGIN").expect("created");
    let _sessions = four_sessions(&url).await;
    let poolgate = watch(PostgresServer::new(options(&url.replace("//postgres@", "//plain@"))));
    let find = || poolgate.status().alerts.into_iter().find(|alert| alert.kind == AlertKind::PartialView);
    eventually("told", || find().is_some()).await;
    let alert = find().expect("an alert");
    assert!(alert.message.contains("GRANT pg_monitor TO \"plain\""), "{}", alert.message);
    // Sessions keep their initial roles until the server makes them reload.
    postgres.sql("postgres", "GRANT pg_monitor TO plain").expect("granted");
    eventually("seen", || find().is_none() && poolgate.status().pool.checked_out == 3).await;
}

#[tokio::test]
async fn the_level_follows_the_sessions_at_work_of_one_app() {
    let postgres = postgres().await;
    let url = postgres.create_database("levels").expect("created");
    let shop = format!("{url}?application_name=shop-1");
    let source = || PostgresServer::new(options(&url)).application("shop").capacity(4);
    let poolgate = watch(source());
    let _other = run(&url, "SELECT pg_sleep(60)");
    let mut working: Vec<_> = (0..3).map(|_| run(&shop, "SELECT pg_sleep(60)")).collect();
    eventually("moderate", || poolgate.status().throttling_level == Level::Moderate).await;
    assert_eq!(poolgate.status().pool.checked_out, 3, "of four, and the other app does not count");
    working.push(run(&shop, "SELECT pg_sleep(60)"));
    eventually("emergency", || poolgate.status().throttling_level == Level::Emergency).await;
    let config = poolgate.config();
    assert!(config.enforced && config.reason == Reason::PoolUsage && config.fair_rate_per_second.is_none());
    for session in &working {
        session.abort();
    }
    // An aborted client is gone, but its session is not: PostgreSQL notices when it sends something.
    postgres
        .sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'levels'")
        .expect("ended");
    eventually("normal", || poolgate.status().throttling_level == Level::Normal).await;
}

#[tokio::test]
async fn a_locked_out_watcher_does_not_limit_clients_for_ever() {
    let postgres = postgres().await;
    let url = postgres.create_database("locked_out").expect("created");
    postgres.sql("postgres", "CREATE ROLE leaver LOGIN; GRANT pg_monitor TO leaver").expect("created");
    let _working = run(&url, "SELECT pg_sleep(60)");
    let watcher = url.replace("//postgres@", "//leaver@");
    let poolgate = watch(PostgresServer::new(options(&watcher)).capacity(1));
    eventually("emergency", || poolgate.status().throttling_level == Level::Emergency).await;

    postgres.sql("postgres", "ALTER ROLE leaver NOLOGIN").expect("altered");
    postgres
        .sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'leaver'")
        .expect("ended");
    let told = || poolgate.status().alerts.into_iter().any(|alert| alert.kind == AlertKind::PartialView);
    eventually("told", told).await;
    eventually("normal", || poolgate.status().throttling_level == Level::Normal).await;
    assert_eq!(poolgate.status().circuit_breaker, CircuitState::Closed);
    postgres.sql("postgres", "ALTER ROLE leaver LOGIN").expect("altered");
    eventually("seen again", || !told() && poolgate.status().pool.checked_out == 1).await;
}

#[tokio::test]
async fn an_unreachable_source_is_reported_with_advice() {
    let postgres = postgres().await;
    let nowhere = trouble(&PostgresServer::new(options(&postgres.url("nowhere")))).await;
    assert!(nowhere.contains("nowhere") && nowhere.contains("Name a database that exists"), "{nowhere}");
    let stranger = postgres.url("postgres").replace("//postgres@", "//stranger@");
    let stranger = trouble(&PostgresServer::new(options(&stranger))).await;
    assert!(stranger.contains("Check the user `stranger`"), "{stranger}");
    let source = PostgresServer::new(options("postgres://nobody@127.0.0.1:1/nothing"));
    source.refresh().expect("elsewhere").await;
    let contact = source.connect_history();
    assert!(contact.failed.is_some() && contact.answered.is_none() && contact.consecutive_failures == 1);
    source.refresh().expect("elsewhere").await;
    assert_eq!(source.connect_history().consecutive_failures, 1, "it is left alone for a second");
}
