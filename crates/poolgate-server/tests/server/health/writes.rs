//! Reads work and writes fail or wait.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use http::StatusCode;
use poolgate_pool::{Pool, sqlite_options};
use poolgate_types::{AlertKind, Health, Reason, Severity};
use sqlx::{Connection, Executor, PgConnection, SqliteConnection};

use super::{PATIENCE, World, app, shop};

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
        .args(["--exact", "health::writes::another_process", "--nocapture"])
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
