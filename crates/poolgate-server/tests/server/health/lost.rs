//! The database cannot be used at all: full, locked, gone, or with another password.

use std::time::{Duration, Instant};

use http::StatusCode;
use poolgate_test_postgres::Postgres;
use poolgate_types::{AlertKind, CircuitState, Health, Reason, Severity, routes};
use sqlx::{Connection, Executor, PgConnection};

use super::{PATIENCE, World, app, create_shop, shop};

/// Logins that the server has refused.
fn refused(postgres: &Postgres) -> usize {
    postgres.log().matches("password authentication failed").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_free_slots_is_an_outage_until_it_has_some() {
    let postgres = shop(8).await;
    let mut others = Vec::new();
    while let Ok(other) = PgConnection::connect(&postgres.url("postgres")).await {
        others.push(other);
    }
    let world = World::new(app(&postgres, "hunter2secret"), |_| {});
    world.is_lost(AlertKind::ServerFull, Reason::ServerFull, "connection").await;
    drop(others);
    let freed = Instant::now();
    world.under_load("/read", "served", |world| world.poolgate.status().pool.idle > 0).await;
    println!("served {:?} after there was room", freed.elapsed());
    world.is_well_again().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_locked_out_of_a_full_server_is_an_outage_although_the_monitor_is_connected() {
    let postgres = shop(8).await;
    let world = World::new(app(&postgres, "hunter2secret"), |_| {});
    world.is_well_again().await;
    // Superusers take every free slot and terminate the pool's sessions; the monitor keeps its own.
    let mut others: Vec<PgConnection> = Vec::new();
    let begun = Instant::now();
    while world.alert(AlertKind::ServerFull).is_none_or(|alert| alert.severity != Severity::Critical) {
        assert!(begun.elapsed() < PATIENCE, "{:?}", world.poolgate.status());
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app' AND query NOT LIKE \
                   '%transaction_read_only%' AND query NOT LIKE '%json_build_array%'";
        if let Some(connection) = others.first_mut() {
            let _ = connection.execute(end).await;
        }
        while let Ok(other) = PgConnection::connect(&postgres.url("postgres")).await {
            others.push(other);
        }
        world.server.get("/read").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(world.poolgate.config().health, Health::Critical);
    drop(others);
    world.is_well_again().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_reported_without_the_password_and_retried_ever_less_often() {
    let postgres = shop(100).await;
    let world = World::new(app(&postgres, "hunter2wrong"), |_| {});
    let cause = "password authentication failed for user \"app\"";
    world.is_lost(AlertKind::LoginRefused, Reason::LoginRefused, cause).await;
    for path in [routes::READYZ, routes::CONNECTION_TEST, routes::STATUS] {
        let answer = world.server.get(path).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.problem().detail.contains(cause), "{path}: {}", answer.body);
        assert!(!answer.body.contains("hunter2"), "{path}: {}", answer.body);
    }
    // 1 + 2 + 4 + 8 s, each at least half of that.
    let (before, begun) = (refused(&postgres), Instant::now());
    while begun.elapsed() < Duration::from_secs(8) {
        world.server.get("/read").await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let attempts = refused(&postgres) - before;
    println!("{attempts} logins in 8 s");
    assert!(attempts <= 5, "{attempts} logins in 8 s");

    let mend = "ALTER ROLE app PASSWORD 'hunter2wrong'";
    tokio::task::block_in_place(|| postgres.sql("postgres", mend)).expect("mended");
    // A connection test does not wait for the next attempt.
    assert_eq!(world.server.get(routes::CONNECTION_TEST).await.status, StatusCode::OK);
    world.is_well_again().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_briefly_wrong_password_does_not_prolong_the_outage() {
    let postgres = shop(100).await;
    let world = World::new(app(&postgres, "hunter2secret"), |_| {});
    world.is_well_again().await;
    let sql = |statements: &str| tokio::task::block_in_place(|| postgres.sql("postgres", statements)).expect("done");
    sql("ALTER ROLE app PASSWORD 'hunter2other'");
    sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(4) {
        // Many at a time: the pool opens several connections at once.
        futures_util::future::join_all((0..5).map(|_| world.server.get("/read"))).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let attempts = refused(&postgres);
    sql("ALTER ROLE app PASSWORD 'hunter2secret'");
    let mended = Instant::now();
    while !world.is_ok("/read").await {
        assert!(mended.elapsed() < PATIENCE, "{:?}", world.poolgate.status());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let served = mended.elapsed();
    println!("{attempts} logins in 4 s; served {served:?} after it was mended");
    // At most about 3 s, plus the time of a busy server.
    assert!(served < Duration::from_secs(6), "{served:?}");
    world.is_well_again().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_password_is_a_warning_while_open_connections_work() {
    let postgres = shop(100).await;
    let world = World::new(app(&postgres, "hunter2secret"), |_| {});
    world.is_well_again().await;
    let change = "ALTER ROLE app PASSWORD 'hunter2other'";
    tokio::task::block_in_place(|| postgres.sql("postgres", change)).expect("changed");
    // More connections are needed than exist.
    let begun = Instant::now();
    while world.alert(AlertKind::LoginRefused).is_none() {
        assert!(begun.elapsed() < PATIENCE, "{:?}", world.poolgate.status());
        let (one, other, third) =
            tokio::join!(world.server.get("/read"), world.server.get("/read"), world.server.get("/read"));
        let served = [one, other, third].iter().filter(|answer| answer.status == StatusCode::OK).count();
        assert!(served > 0, "open connections work");
    }
    let alert = world.alert(AlertKind::LoginRefused).expect("an alert");
    assert_eq!(alert.severity, Severity::Warning, "{}", alert.message);
    assert_eq!(world.poolgate.status().circuit_breaker, CircuitState::Closed);
    let change = "ALTER ROLE app PASSWORD 'hunter2secret'";
    tokio::task::block_in_place(|| postgres.sql("postgres", change)).expect("changed back");
    world.is_well_again().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_database_is_reported_without_any_request() {
    let postgres = shop(100).await;
    let world = World::new(app(&postgres, "hunter2secret"), |settings| {
        settings.monitor.interval = Duration::from_secs(1);
        settings.monitor.unready_after = Duration::from_secs(1);
    });
    world.is_well_again().await;
    tokio::task::block_in_place(|| postgres.sql("postgres", "DROP DATABASE shop WITH (FORCE)")).expect("dropped");
    let begun = Instant::now();
    while world.alert(AlertKind::LoginRefused).is_none_or(|alert| alert.severity != Severity::Critical) {
        assert!(begun.elapsed() < PATIENCE, "{:?}", world.poolgate.status());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.is_lost(AlertKind::LoginRefused, Reason::LoginRefused, "database \"shop\" does not exist").await;
    world.under_load("/read", "unready", |world| world.poolgate.readiness().missing().is_some()).await;
    let ready = world.server.get(routes::READYZ).await;
    assert!(ready.problem().detail.contains("does not exist"), "{}", ready.body);
    assert_eq!(world.server.get(routes::LIVEZ).await.status, StatusCode::OK, "a restart would not help");
    tokio::task::block_in_place(|| create_shop(&postgres));
    world.is_well_again().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_has_lost_its_database_is_unready_until_it_is_back() {
    let mut postgres = shop(100).await;
    let world = World::new(app(&postgres, "hunter2secret"), |settings| {
        settings.monitor.unready_after = Duration::from_secs(2);
    });
    world.is_well_again().await;
    tokio::task::block_in_place(|| postgres.kill()).expect("killed");
    world.is_lost(AlertKind::DatabaseSilent, Reason::DatabaseUnreachable, "").await;
    world.under_load("/read", "unready", |world| world.poolgate.readiness().missing().is_some()).await;
    let ready = world.server.get(routes::READYZ).await;
    assert_eq!((ready.status, ready.problem().code.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "not_ready"));
    assert!(ready.problem().detail.contains("cannot be reached"), "{}", ready.body);
    assert_eq!(world.server.get(routes::LIVEZ).await.status, StatusCode::OK);
    tokio::task::block_in_place(|| postgres.start_again()).expect("started");
    world.is_well_again().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_pool_never_makes_a_replica_unready() {
    let postgres = shop(100).await;
    let world = World::new(app(&postgres, "hunter2secret"), |settings| {
        settings.monitor.unready_after = Duration::from_secs(1);
        settings.gate.max_concurrent_requests = 3;
        settings.gate.timeout = Duration::from_millis(50);
    });
    world.is_well_again().await;
    let begun = Instant::now();
    // Permits are held by work without a connection, and other requests are rejected.
    let held = async { tokio::join!(world.server.get("/idle"), world.server.get("/idle"), world.server.get("/idle")) };
    let asked = async {
        while world.alert(AlertKind::GateFull).is_none() {
            assert!(begun.elapsed() < PATIENCE, "{:?}", world.poolgate.status());
            world.server.get("/read").await;
            assert_eq!(world.server.get(routes::READYZ).await.status, StatusCode::OK);
        }
    };
    tokio::select! {
        _ = held => panic!("the permits were not held"),
        () = asked => {}
    }
    let alert = world.alert(AlertKind::GateFull).expect("an alert");
    assert!(alert.message.contains("3 of 3 requests in flight"), "{}", alert.message);
    world.is_well_again().await;
}
