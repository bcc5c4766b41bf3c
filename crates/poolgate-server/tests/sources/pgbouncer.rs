//! A PgBouncer, watched through its console.

use std::time::Duration;

use crate::harness::{ask, run, trouble, watch};
use poolgate_server::{PgBouncer, Visibility, WatchedPool};
use poolgate_test_harness::{
    eventually,
    sources::{connect, options, pooler, postgres},
};
use poolgate_test_postgres::Postgres;
use poolgate_types::{AlertKind, CircuitState, Health, Level, Reason, routes};
use sqlx::{Executor, raw_sql};

const TRANSACTIONS: &[&str] = &["pool_mode=transaction", "default_pool_size=2"];

#[tokio::test]
async fn working_idle_and_waiting_connections_are_shown() {
    let postgres = postgres().await;
    postgres.create_database("shown").expect("created");
    let pooler = pooler(postgres, "shown", TRANSACTIONS).await;
    let poolgate = watch(PgBouncer::new(options(&pooler.url("stats", "shown"))));
    eventually("ready", || poolgate.readiness().missing().is_none()).await;
    let pool = poolgate.status().pool;
    assert_eq!((pool.capacity, pool.checked_out, pool.waiting), (2, 0, Some(0)), "no client has connected yet");

    let clients: Vec<_> = (0..5).map(|_| run(&pooler.url("app", "shown"), "SELECT pg_sleep(1)")).collect();
    eventually("full", || {
        let pool = poolgate.status().pool;
        (pool.capacity, pool.checked_out, pool.idle, pool.waiting) == (2, 2, 0, Some(3))
    })
    .await;
    let status = ask(&poolgate, routes::STATUS).await;
    assert!(status["performance"]["acquire_wait_ms"].is_null(), "unknown is not zero: {status}");
    assert_eq!(status["pool"]["backend"], "postgres");
    let test = ask(&poolgate, routes::CONNECTION_TEST).await;
    assert!(test["server_version"].as_str().is_some_and(|version| version.starts_with("PgBouncer")), "{test}");
    for client in clients {
        client.await.expect("served");
    }
    eventually("idle", || {
        let pool = poolgate.status().pool;
        (pool.checked_out, pool.idle, pool.waiting) == (0, 2, Some(0))
    })
    .await;
    assert_eq!(poolgate.status().alerts.iter().filter(|alert| alert.kind == AlertKind::PartialView).count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_database_has_its_own_limit_or_none() {
    let postgres = postgres().await;
    postgres.create_database("narrow").expect("created");
    postgres.create_database("wide").expect("created");
    let start = || {
        let server = format!("host=127.0.0.1 port={} user=postgres", postgres.port());
        let [narrow, wide] = [format!("narrow = {server} max_db_connections=3"), format!("wide = {server}")];
        let settings = ["pool_mode=transaction", "default_pool_size=5", "reserve_pool_size=2"];
        let settings = [&settings[..], &["[databases]", &narrow, &wide]].concat();
        poolgate_test_postgres::PgBouncer::start(postgres, "postgres", &settings)
    };
    let pooler = tokio::task::block_in_place(start).expect("PgBouncer");
    let watch = |database: &str| watch(PgBouncer::new(options(&pooler.url("stats", database))));
    let (all, narrow, wide) = (watch(""), watch("narrow"), watch("wide"));
    let sizes = |poolgate: &poolgate_server::Poolgate| {
        let pool = poolgate.status().pool;
        (pool.capacity, pool.max_overflow)
    };
    eventually("one user for each", || sizes(&all) == (7 + 3 + 7, 2 + 2)).await;
    eventually("each by itself", || (sizes(&narrow), sizes(&wide)) == ((3, 0), (7, 2))).await;
    let client = connect(&pooler.url("app", "narrow")).await;
    eventually("in use", || sizes(&all) == (3, 0)).await;
    let clients = (0..8).map(|_| run(&pooler.url("app", "narrow"), "SELECT pg_sleep(1)"));
    let clients: Vec<_> =
        clients.chain((0..8).map(|_| run(&pooler.url("app", "wide"), "SELECT pg_sleep(1)"))).collect();
    eventually("both in use", || sizes(&all) == (3 + 7, 2)).await;
    eventually("no more than allowed", || narrow.status().pool.waiting == Some(5)).await;
    assert_eq!(narrow.status().pool.checked_out, 3, "PgBouncer opens no more than these");
    drop(client);
    for client in clients {
        client.await.expect("served");
    }
}

#[tokio::test]
async fn transactions_are_counted_as_served_and_as_arrived() {
    let postgres = postgres().await;
    postgres.create_database("counted").expect("created");
    let pooler = pooler(postgres, "counted", TRANSACTIONS).await;
    let source = PgBouncer::new(options(&pooler.url("stats", "counted"))).transactions_per_request(2.0);
    let traffic = async || {
        source.refresh().expect("elsewhere").await;
        match source.visibility() {
            Visibility::Shown(Some(traffic)) => traffic,
            other => panic!("{other:?}"),
        }
    };
    let before = traffic().await;
    assert_eq!((before.completed, before.arrivals), (0, 0), "what was before is not of now");
    let mut client = connect(&pooler.url("app", "counted")).await;
    for _ in 0..20 {
        client.execute(raw_sql("SELECT 1")).await.expect("served");
    }
    let mut after = traffic().await;
    assert_eq!((after.completed, after.arrivals), (10, 10), "two transactions make a request");

    let clients: Vec<_> = (0..6).map(|_| run(&pooler.url("app", "counted"), "SELECT pg_sleep(0.5)")).collect();
    while after.waiting < 2 || after.in_use < 2 {
        after = traffic().await;
    }
    assert_eq!((after.in_use, after.waiting), (2, 2), "four transactions wait");
    assert_eq!(after.arrivals, 13, "a waiting client counts as an arrival");
    for client in clients {
        client.await.expect("served");
    }
    let end = traffic().await;
    assert_eq!((end.arrivals, end.completed, end.in_use, end.waiting), (13, 13, 0, 0));
}

#[tokio::test]
async fn a_user_without_the_privilege_is_told_what_to_do() {
    let postgres = postgres().await;
    let pooler = pooler(postgres, "postgres", TRANSACTIONS).await;
    let of = |user: &str| PgBouncer::new(options(&pooler.url(user, "postgres")));
    let refused = trouble(&of("app")).await;
    assert!(refused.contains("stats_users = app"), "{refused}");
    let unknown = trouble(&of("nobody")).await;
    assert!(unknown.contains("auth_file"), "{unknown}");
    let elsewhere = trouble(&PgBouncer::new(options(&postgres.url("postgres")))).await;
    assert!(elsewhere.contains("not a PgBouncer"), "{elsewhere}");
}

#[tokio::test]
async fn a_user_without_the_privilege_limits_no_client() {
    let postgres = postgres().await;
    let pooler = pooler(postgres, "postgres", TRANSACTIONS).await;
    for user in ["app", "nobody"] {
        let poolgate = watch(PgBouncer::new(options(&pooler.url(user, "postgres"))));
        let find = || poolgate.status().alerts.into_iter().find(|alert| alert.kind == AlertKind::PartialView);
        eventually("told", || find().is_some()).await;
        let alert = find().expect("an alert");
        assert!(alert.message.contains("cannot be read") && alert.message.contains("stats_users"), "{}", alert.message);
        // Longer than the silence that opens the breaker.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let status = poolgate.status();
        assert_eq!(status.circuit_breaker, CircuitState::Closed);
        assert!(status.alerts.iter().all(|alert| alert.kind != AlertKind::DatabaseSilent), "{:?}", status.alerts);
        assert_eq!(find().expect("still").since, alert.since, "one alert, not a new one with each attempt");
        assert!(poolgate.readiness().missing().is_some(), "nothing has been read yet");
    }
}

#[tokio::test]
async fn missing_figures_raise_an_alert() {
    let postgres = postgres().await;
    let pooler = pooler(postgres, "postgres", &["pool_mode=session", "default_pool_size=2"]).await;
    connect(&pooler.url("app", "postgres")).await;
    let alert = async |database: &str| {
        let poolgate = watch(PgBouncer::new(options(&pooler.url("stats", database))));
        let find = || poolgate.status().alerts.into_iter().find(|alert| alert.kind == AlertKind::PartialView);
        eventually("an alert", || find().is_some()).await;
        find().expect("an alert").message
    };
    let unknown = alert("shoop").await;
    assert!(unknown.contains("`shoop`") && unknown.contains("postgres"), "{unknown}");
    let session = alert("postgres").await;
    assert!(session.contains("pool_mode = transaction"), "{session}");
}

#[tokio::test]
async fn connections_that_wait_in_session_mode_are_no_requests_to_forecast() {
    let postgres = postgres().await;
    let pooler = pooler(postgres, "postgres", &["pool_mode=session", "default_pool_size=2"]).await;
    let mut client = connect(&pooler.url("app", "postgres")).await;
    client.execute(raw_sql("SELECT 1")).await.expect("served");
    let poolgate = watch(PgBouncer::new(options(&pooler.url("stats", "postgres"))));
    eventually("seen", || poolgate.status().pool.checked_out == 1).await;
    for _ in 0..25 {
        client.execute(raw_sql("SELECT 1")).await.expect("served");
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(poolgate.status().forecast, None, "unknown, and not zero");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_database_behind_it_opens_the_breaker_until_it_is_back() {
    let start = || {
        let postgres = Postgres::start()?;
        let settings = ["pool_mode=transaction", "default_pool_size=2", "server_login_retry=1"];
        let pooler = poolgate_test_postgres::PgBouncer::start(&postgres, "postgres", &settings)?;
        anyhow::Ok((postgres, pooler))
    };
    let (mut postgres, pooler) = tokio::task::spawn_blocking(start).await.expect("joined").expect("both");
    let poolgate = watch(PgBouncer::new(options(&pooler.url("stats", "postgres"))));
    eventually("ready", || poolgate.readiness().missing().is_none()).await;
    let url = pooler.url("app", "postgres");
    let app = tokio::spawn(async move {
        loop {
            // Connected clients wait for as long as PgBouncer lets them.
            let _ = tokio::time::timeout(Duration::from_secs(5), run(&url, "SELECT pg_sleep(0.1)")).await;
        }
    });
    eventually("at work", || poolgate.status().pool.checked_out > 0).await;
    assert_eq!(poolgate.status().circuit_breaker, CircuitState::Closed);

    tokio::task::block_in_place(|| postgres.stop()).expect("stopped");
    eventually("the breaker is open in the config", || poolgate.config().circuit_breaker_open).await;
    tokio::task::block_in_place(|| postgres.start_again()).expect("started");
    eventually("closed", || poolgate.status().circuit_breaker == CircuitState::Closed).await;
    app.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_makes_clients_wait_and_is_no_outage() {
    let postgres = postgres().await;
    postgres.create_database("paused").expect("created");
    let pooler = pooler(postgres, "paused", &["pool_mode=transaction", "default_pool_size=20"]).await;
    let poolgate = watch(PgBouncer::new(options(&pooler.url("stats", "paused"))));
    let url = pooler.url("app", "paused");
    let apps: Vec<_> = (0..4)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move {
                let mut connection = connect(&url).await;
                let mut served = 0_u64;
                // An error of a statement would be an outage.
                while connection.execute(raw_sql("SELECT pg_sleep(0.02)")).await.is_ok() && served < 100_000 {
                    served += 1;
                }
            })
        })
        .collect();
    eventually("at work", || poolgate.status().pool.checked_out > 0 && poolgate.status().alerts.is_empty()).await;
    assert!(poolgate.readiness().missing().is_none());
    let paused = || poolgate.status().alerts.into_iter().find(|alert| alert.kind == AlertKind::DatabasePaused);

    // PAUSE returns when statements in progress have ended.
    tokio::task::block_in_place(|| pooler.console("PAUSE paused")).expect("paused");
    eventually("told", || paused().is_some()).await;
    let begun = std::time::Instant::now();
    // Longer than clients must wait without a connection in use to count as an outage.
    while begun.elapsed() < Duration::from_secs(6) {
        let (status, config) = (poolgate.status(), poolgate.config());
        assert_eq!(status.circuit_breaker, CircuitState::Closed, "{status:?}");
        assert!(!config.circuit_breaker_open && config.enforced, "{config:?}");
        assert_eq!((config.reason, config.throttling_level), (Reason::DatabasePaused, Level::Moderate));
        assert!(config.fair_rate_per_second.is_some_and(|rate| rate <= 1.0), "{config:?}");
        let alerts = status.alerts.iter().filter(|alert| alert.kind != AlertKind::DatabasePaused).count();
        assert_eq!((alerts, status.health), (0, Health::Degraded), "{:?}", status.alerts);
        assert!(poolgate.readiness().missing().is_none());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(poolgate.status().pool.waiting > Some(0), "they wait");

    tokio::task::block_in_place(|| pooler.console("RESUME paused")).expect("resumed");
    let resumed = std::time::Instant::now();
    eventually("as before", || !poolgate.config().enforced && paused().is_none()).await;
    println!("as before {:?} after it was resumed", resumed.elapsed());
    eventually("at work again", || poolgate.status().pool.checked_out > 0).await;
    assert!(apps.iter().all(|app| !app.is_finished()), "no client was rejected");
    apps.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_refused_by_the_console_is_retried_ever_less_often() {
    let postgres = postgres().await;
    let pooler = pooler(postgres, "postgres", TRANSACTIONS).await;
    let source = PgBouncer::new(options(&pooler.url("nobody", "postgres")));
    let begun = std::time::Instant::now();
    let mut newest = 0;
    while begun.elapsed() < Duration::from_secs(8) {
        source.refresh().expect("elsewhere").await;
        newest = source.connect_history().consecutive_failures;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!((2..=4).contains(&newest), "{newest} logins in 8 s, instead of 8");
}
