//! Faults of a real database as shown by status, alerts and readiness.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use http::StatusCode;
use poolgate_pool::{Pool, PoolConfig, sqlite_options};
use poolgate_server::{Poolgate, Settings, SupportedDatabase};
use poolgate_test_postgres::Postgres;
use poolgate_types::{Alert, AlertKind, CircuitState, Health, Level, Reason, Severity, routes};
use sqlx::{Connection, Executor, PgConnection, SqliteConnection, postgres::PgConnectOptions};

use crate::harness::Server;

/// Longer than any pause between two attempts.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with `/read` and `/write` behind the gate.
struct World {
    poolgate: Poolgate,
    server: Server<()>,
}

impl World {
    fn new<DB>(builder: poolgate_pool::Builder<DB>, change: impl FnOnce(&mut Settings)) -> Self
    where
        DB: SupportedDatabase + poolgate_pool::Backend,
        for<'l> &'l mut poolgate_pool::Lease<DB>: Executor<'l, Database = DB>,
    {
        let config =
            PoolConfig { size: 3, max_overflow: 0, acquire_timeout: Duration::from_secs(3), ..PoolConfig::default() };
        let pool = builder.config(config).build().expect("a pool");
        let mut settings = Settings::default();
        change(&mut settings);
        let poolgate = Poolgate::builder(pool.clone()).settings(settings).start();
        let run = move |statement: &'static str| {
            let pool = pool.clone();
            async move {
                let Ok(mut lease) = pool.acquire().await else { return StatusCode::SERVICE_UNAVAILABLE };
                match lease.execute(statement).await {
                    Ok(_) => StatusCode::OK,
                    Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
                }
            }
        };
        let (read, write) = (run.clone(), run);
        let own = Router::new()
            .route("/read", get(async move || read("SELECT count(*) FROM t").await))
            .route("/write", get(async move || write("INSERT INTO t VALUES (1)").await))
            .route("/idle", get(async || tokio::time::sleep(Duration::from_secs(30)).await))
            .layer(poolgate.gate());
        let app = poolgate_server::app(&poolgate, own);
        let server = Server::new(poolgate.clone(), (), app, tempfile::TempDir::new().expect("a folder"));
        Self { poolgate, server }
    }

    fn alert(&self, kind: AlertKind) -> Option<Alert> {
        self.poolgate.status().alerts.into_iter().find(|alert| alert.kind == kind)
    }

    async fn is_ok(&self, path: &str) -> bool {
        self.server.get(path).await.status == StatusCode::OK
    }

    /// Requests `path` repeatedly until `condition` holds.
    async fn under_load(&self, path: &str, what: &str, condition: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !condition(self) {
            assert!(begun.elapsed() < PATIENCE, "not {what}: {:?}", self.poolgate.status());
            self.server.get(path).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The database is unusable, and all documents say why.
    async fn is_lost(&self, kind: AlertKind, reason: Reason, cause: &str) {
        self.under_load("/read", "lost", |world| world.alert(kind).is_some_and(|it| it.severity == Severity::Critical))
            .await;
        let alert = self.alert(kind).expect("it stays");
        assert!(alert.message.contains(cause), "{}", alert.message);
        let config = self.poolgate.config();
        assert_eq!((config.health, config.throttling_level), (Health::Critical, Level::Emergency), "{config:?}");
        assert!(config.circuit_breaker_open && [reason, Reason::Probing].contains(&config.reason), "{config:?}");
        let status = self.server.get(routes::STATUS).await;
        assert!(status.problem().detail.contains(cause), "{}", status.body);
    }

    async fn is_well_again(&self) {
        self.under_load("/read", "well again", |world| {
            let status = world.poolgate.status();
            status.circuit_breaker == CircuitState::Closed
                && status.health == Health::Healthy
                && status.alerts.is_empty()
                && world.poolgate.readiness().missing().is_none()
        })
        .await;
        assert!(self.is_ok("/read").await);
        assert_eq!(self.server.get(routes::STATUS).await.status, StatusCode::OK);
        assert_eq!(self.server.get(routes::READYZ).await.status, StatusCode::OK);
    }

    /// Writes fail, reads work, and no request is held back.
    async fn writes_fail(&self, kind: AlertKind, reason: Reason) {
        self.under_load("/write", "noticed", |world| {
            world.alert(kind).is_some_and(|it| it.severity == Severity::Critical)
        })
        .await;
        let config = self.poolgate.config();
        assert_eq!((config.health, config.reason, config.enforced), (Health::Degraded, reason, false));
        assert!(!config.circuit_breaker_open);
        assert!(self.is_ok("/read").await, "reads work");
        assert_eq!(self.server.get(routes::READYZ).await.status, StatusCode::OK);
    }
}

async fn postgres(max_connections: u32) -> Postgres {
    let start = move || Postgres::start_with_max_connections(max_connections);
    tokio::task::spawn_blocking(start).await.expect("joined").expect("PostgreSQL")
}

/// A database `shop` with a table for the role `app` (password `hunter2secret`); the server requires passwords.
async fn shop(max_connections: u32) -> Postgres {
    let postgres = postgres(max_connections).await;
    tokio::task::block_in_place(|| {
        let sql = |database: &str, sql: &str| postgres.sql(database, sql).expect("done");
        sql("postgres", "CREATE ROLE app LOGIN PASSWORD 'hunter2secret'");
        let file = sql("postgres", "SHOW hba_file");
        let rules = "VALUES ('host all app 127.0.0.1/32 scram-sha-256'), ('host all all 127.0.0.1/32 trust')";
        sql("postgres", &format!("COPY ({rules}) TO '{file}'"));
        sql("postgres", "SELECT pg_reload_conf()");
        create_shop(&postgres);
    });
    postgres
}

fn create_shop(postgres: &Postgres) {
    postgres.sql("postgres", "CREATE DATABASE shop OWNER app").expect("created");
    postgres.sql("shop", "CREATE TABLE t (x int); GRANT ALL ON t TO app").expect("created");
    // After a crash the harness's server loses unwritten data.
    postgres.sql("postgres", "CHECKPOINT").expect("written");
}

fn app(postgres: &Postgres, password: &str) -> poolgate_pool::Builder<sqlx::Postgres> {
    let options: PgConnectOptions = postgres.url("shop").parse().expect("a URL");
    Pool::<sqlx::Postgres>::builder(options.username("app").password(password))
}

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_database_serves_reads_and_says_that_writes_fail() {
    let postgres = shop(100).await;
    let world = World::new(app(&postgres, "hunter2secret"), |_| {});
    world.is_well_again().await;
    assert!(world.is_ok("/write").await);
    let set = |value: &str| {
        let set = format!("ALTER SYSTEM SET default_transaction_read_only = {value}");
        tokio::task::block_in_place(|| {
            postgres.sql("postgres", &set)?;
            postgres.sql("postgres", "SELECT pg_reload_conf()")
        })
        .expect("set");
    };
    set("on");
    world.writes_fail(AlertKind::ReadOnly, Reason::ReadOnly).await;
    set("off");
    world.is_well_again().await;
    assert!(world.is_ok("/write").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_turns_read_only_is_reported_before_any_write() {
    let postgres = shop(100).await;
    let world = World::new(app(&postgres, "hunter2secret"), |settings| {
        settings.monitor.interval = Duration::from_secs(1);
    });
    world.is_well_again().await;
    let set = "ALTER DATABASE shop SET default_transaction_read_only = on";
    tokio::task::block_in_place(|| postgres.sql("postgres", set)).expect("set");
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'";
    tokio::task::block_in_place(|| postgres.sql("postgres", end)).expect("ended");
    world.under_load("/read", "told", |world| world.alert(AlertKind::ReadOnly).is_some()).await;
    assert_eq!(world.poolgate.config().health, Health::Degraded);
    assert_eq!(world.alert(AlertKind::ReadOnly).map(|alert| alert.severity), Some(Severity::Warning));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_that_wait_for_another_sessions_lock_are_reported_while_they_wait() {
    let postgres = shop(100).await;
    let world = World::new(app(&postgres, "hunter2secret"), |settings| {
        settings.monitor.interval = Duration::from_secs(1);
    });
    world.is_well_again().await;
    let mut other = PgConnection::connect(&postgres.url("shop")).await.expect("connected");
    other.execute("BEGIN; LOCK TABLE t IN EXCLUSIVE MODE").await.expect("locked");
    let blocked = async {
        let begun = Instant::now();
        while world.alert(AlertKind::WritesBlocked).is_none() {
            assert!(begun.elapsed() < PATIENCE, "{:?}", world.poolgate.status());
            assert!(world.is_ok("/read").await, "reads work");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(world.poolgate.config().health, Health::Degraded);
        other.execute("ROLLBACK").await.expect("unlocked");
    };
    let (one, two, ()) = tokio::join!(world.server.get("/write"), world.server.get("/write"), blocked);
    assert_eq!((one.status, two.status), (StatusCode::OK, StatusCode::OK));
    world.is_well_again().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_fail_waiting_for_another_process_are_reported() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = folder.path().join("shop.db");
    SqliteConnection::connect_with(&sqlite_options(&file))
        .await
        .expect("made")
        .execute("CREATE TABLE t (x)")
        .await
        .expect("made");
    let options = sqlite_options(&file).busy_timeout(Duration::from_millis(200));
    let world = World::new(Pool::<sqlx::Sqlite>::builder(options), |_| {});
    world.is_well_again().await;

    let mut other = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "health::another_process", "--nocapture"])
        .env("POOLGATE_TEST_LOCK", &file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut lines = BufReader::new(other.stdout.take().expect("piped")).lines();
    assert!(lines.any(|line| line.is_ok_and(|line| line.contains("locked"))), "it has the lock");
    world.writes_fail(AlertKind::WritesBlocked, Reason::WritesBlocked).await;
    drop(other.stdin.take());
    tokio::task::block_in_place(|| other.wait()).expect("ended");
    world.under_load("/write", "written", |world| world.alert(AlertKind::WritesBlocked).is_none()).await;
    world.is_well_again().await;
}

/// Not a test itself: the process that holds the lock until its input ends.
#[tokio::test]
async fn another_process() {
    let Some(file) = std::env::var_os("POOLGATE_TEST_LOCK") else { return };
    let mut connection = SqliteConnection::connect_with(&sqlite_options(file)).await.expect("opened");
    connection.execute("BEGIN IMMEDIATE").await.expect("locked");
    println!("locked");
    std::io::stdin().lines().for_each(drop);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_reported_and_reads_work() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let options = sqlite_options(folder.path().join("shop.db"));
    let mut connection = SqliteConnection::connect_with(&options).await.expect("made");
    connection.execute("CREATE TABLE t (x)").await.expect("made");
    // The last page is full: SQLite reports the error of a full disk.
    let fill =
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 2000) INSERT INTO t SELECT x FROM n";
    connection.execute(fill).await.expect("filled");
    let world = World::new(
        Pool::<sqlx::Sqlite>::builder(options).after_connect(|connection| {
            Box::pin(async move { connection.execute("PRAGMA max_page_count = 1").await.map(|_| ()) })
        }),
        |_| {},
    );
    world.is_well_again().await;
    world.writes_fail(AlertKind::StorageFull, Reason::StorageFull).await;
}
