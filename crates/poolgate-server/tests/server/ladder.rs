//! What an enabled cleanup ends on a real PostgreSQL, and what it leaves alone.

use std::{sync::LazyLock, time::Duration};

use axum::Router;
use http::StatusCode;
use poolgate_pool::{Lease, Pool, PoolConfig, PostgresSession, Revoked};
use poolgate_server::{
    Poolgate, Settings,
    settings::{CleanupSettings, Secret},
};
use poolgate_test_harness::{Server, eventually};
use poolgate_test_postgres::Postgres as Database;
use poolgate_types::{CleanupTrigger, routes};
use serde_json::Value;
use sqlx::{Any, Connection, Executor, PgConnection, error::DatabaseError};
use tokio::task::JoinHandle;

const TOKEN: &str = "a token of some length";
const ADMIN: (&str, &str) = ("authorization", "Bearer a token of some length");
/// Longer than the tests' threshold for long.
const LONG: Duration = Duration::from_millis(1300);

static DATABASE: LazyLock<Database> = LazyLock::new(|| Database::start().expect("PostgreSQL"));

/// A server whose sessions have this `name`, with thresholds of a second.
fn server(name: &str, size: u32, opt_in: impl FnOnce(&mut CleanupSettings)) -> Server<Pool<Any>> {
    server_at(&DATABASE.url("postgres"), name, size, opt_in)
}

fn server_at(url: &str, name: &str, size: u32, opt_in: impl FnOnce(&mut CleanupSettings)) -> Server<Pool<Any>> {
    sqlx::any::install_default_drivers();
    let mut settings = Settings::default();
    settings.server.admin_token = Some(Secret::new(TOKEN));
    let second = Duration::from_secs(1);
    let cleanup = &mut settings.cleanup;
    (cleanup.leak_threshold, cleanup.revoke_after) = (second, second);
    (cleanup.cancel_after, cleanup.terminate_after) = (second, second);
    cleanup.manual_cooldown = second;
    opt_in(cleanup);
    let session = PostgresSession { application_name: Some(name.to_owned()), ..PostgresSession::default() };
    let pool = Pool::<Any>::builder(url.parse().expect("a URL"))
        .config(PoolConfig { size, max_overflow: 0, ..PoolConfig::default() })
        .postgres(session)
        .build()
        .expect("a pool");
    let poolgate = Poolgate::builder(pool.clone()).settings(settings).start();
    let app = poolgate_server::app(&poolgate, Router::new());
    Server::new(poolgate, pool, app, tempfile::TempDir::new().expect("a folder"))
}

fn everything(cleanup: &mut CleanupSettings) {
    (cleanup.revoke, cleanup.cancel, cleanup.terminate) = (true, true, true);
}

async fn clean(server: &Server<Pool<Any>>, headers: &[(&str, &str)]) -> Value {
    let answer = server.post(routes::FORCE_CLEANUP, headers).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    println!("{}", answer.body);
    answer.json()
}

async fn lease(server: &Server<Pool<Any>>) -> Lease<Any> {
    let mut lease = server.pool.acquire().await.expect("a connection");
    lease.execute("SELECT 1").await.expect("answered");
    lease
}

async fn in_transaction(server: &Server<Pool<Any>>) -> Lease<Any> {
    let mut lease = lease(server).await;
    lease.execute("BEGIN").await.expect("begun");
    lease
}

fn runs(mut lease: Lease<Any>, sql: &'static str) -> JoinHandle<sqlx::Result<()>> {
    tokio::spawn(async move { lease.execute(sql).await.map(drop) })
}

/// Sessions of another process with the same role and database: one idle, one at work, one idle in a transaction.
struct Others {
    idle: PgConnection,
    in_transaction: PgConnection,
    working: JoinHandle<sqlx::Result<()>>,
}

impl Others {
    async fn connect(name: &str) -> Self {
        let options = DATABASE.url("postgres").parse::<sqlx::postgres::PgConnectOptions>().expect("a URL");
        let options = options.application_name(name);
        let connect = async || PgConnection::connect_with(&options).await.expect("connected");
        let (mut idle, mut in_transaction, mut working) = (connect().await, connect().await, connect().await);
        idle.execute("SELECT 1").await.expect("answered");
        in_transaction.execute("BEGIN").await.expect("begun");
        let working = tokio::spawn(async move { working.execute("SELECT pg_sleep(4)").await.map(drop) });
        Self { idle, in_transaction, working }
    }

    async fn are_well(mut self) {
        self.idle.execute("SELECT 1").await.expect("not ended");
        self.in_transaction.execute("COMMIT").await.expect("not ended");
        self.working.await.expect("joined").expect("not cancelled");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_cause_is_ended_and_others_are_left_alone() {
    let server = server("ladder", 5, everything);
    let mut forgotten = lease(&server).await;
    let mut left_open = in_transaction(&server).await;
    let stuck = runs(lease(&server).await, "SELECT pg_sleep(60)");
    // The same name is not enough: this pool has not opened them.
    let (namesakes, strangers) = (Others::connect("ladder").await, Others::connect("other").await);
    tokio::time::sleep(LONG).await;
    let mut young = lease(&server).await;

    let report = clean(&server, &[ADMIN]).await;
    let expect = |report: &Value, expected: [(&str, u32); 7]| {
        for (what, count) in expected {
            assert_eq!(report[what], count, "{what}: {report}");
        }
    };
    expect(
        &report,
        [
            ("leases_flagged", 3),
            ("revoked", 1),
            ("cancelled", 1),
            ("terminated", 0),
            ("freed", 2),
            ("checked_out_before", 4),
            ("checked_out_after", 2),
        ],
    );
    let summary = report["summary"].as_str().expect("text");
    assert!(summary.starts_with("2 freed, 2 leases busy, 3 suspiciously old"), "{summary}");
    assert!(report["skipped"].to_string().contains("terminate: 2 are ended at once"), "{report}");

    tokio::time::sleep(LONG).await;
    young.execute("SELECT 1").await.expect("not forgotten");
    let report = clean(&server, &[ADMIN]).await;
    expect(
        &report,
        [
            ("leases_flagged", 2),
            ("revoked", 0),
            ("cancelled", 0),
            ("terminated", 1),
            ("freed", 1),
            ("checked_out_before", 2),
            ("checked_out_after", 1),
        ],
    );

    assert!(Revoked::caused(&forgotten.execute("SELECT 1").await.expect_err("revoked")));
    assert!(left_open.execute("SELECT 1").await.is_err());
    let cancelled = stuck.await.expect("joined").expect_err("cancelled");
    assert_eq!(cancelled.as_database_error().and_then(DatabaseError::code).as_deref(), Some("57014"), "{cancelled}");
    young.execute("SELECT 1").await.expect("in use for a moment only");
    // Late returns change nothing: the pool is complete.
    drop((forgotten, left_open, young));
    let mut all = Vec::new();
    for _ in 0..5 {
        all.push(lease(&server).await);
    }
    namesakes.are_well().await;
    strangers.are_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_on_the_previous_server_keeps_its_place() {
    let server = server("moved", 2, |cleanup| cleanup.revoke = true);
    let elsewhere = tokio::task::spawn_blocking(Database::start).await.expect("joined").expect("PostgreSQL");
    let working = runs(lease(&server).await, "SELECT pg_sleep(4)");
    tokio::time::sleep(LONG).await;
    server.pool.set_connect_options(elsewhere.url("postgres").parse().expect("a URL"));
    let newer = lease(&server).await;

    let report = clean(&server, &[ADMIN]).await;
    assert_eq!(server.pool.counts().checked_out, 2, "its session lives on a server that was not queried: {report}");
    working.await.expect("joined").expect("not ended");
    assert_eq!(server.pool.counts().checked_out, 1);
    drop(newer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disabled_steps_and_requests_without_the_token_end_nothing() {
    let careful = server("careful", 3, |_| {});
    let mut held = (lease(&careful).await, in_transaction(&careful).await);
    tokio::time::sleep(LONG).await;
    let report = clean(&careful, &[ADMIN]).await;
    assert_eq!((report["freed"].as_u64(), report["leases_flagged"].as_u64()), (Some(0), Some(2)));
    assert_eq!(report["summary"], "0 freed, 2 leases busy, 2 suspiciously old");
    let skipped = report["skipped"].to_string();
    for step in ["revoke", "cancel", "terminate"] {
        assert!(skipped.contains(&format!("{step}: not enabled (cleanup.{step})")), "{skipped}");
    }
    held.0.execute("SELECT 1").await.expect("left alone");
    held.1.execute("COMMIT").await.expect("left alone");

    let locked = server("locked", 3, everything);
    let mut held = lease(&locked).await;
    tokio::time::sleep(LONG).await;
    let report = clean(&locked, &[]).await;
    assert_eq!((report["freed"].as_u64(), report["revoked"].as_u64()), (Some(0), Some(0)));
    assert!(report["skipped"].to_string().contains("revoke: needs the admin token"), "{report}");
    held.execute("SELECT 1").await.expect("left alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_waits_for_a_lock_and_its_idle_holder_are_not_cancelled() {
    let server = server("victims", 3, |cleanup| cleanup.cancel = true);
    let mut holder = in_transaction(&server).await;
    holder.execute("SELECT pg_advisory_xact_lock(5)").await.expect("locked");
    let victim = runs(lease(&server).await, "SELECT pg_advisory_xact_lock(5)");
    tokio::time::sleep(LONG).await;
    let report = clean(&server, &[ADMIN]).await;
    assert_eq!(report["cancelled"], 0, "{report}");
    assert!(report["skipped"].to_string().contains("cancel: nothing of ours"), "{report}");
    holder.execute("COMMIT").await.expect("left alone");
    victim.await.expect("joined").expect("served in the end");
}

/// The server's own timeout or an administrator ends the session; its holder does not notice and keeps the place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_place_of_an_ended_session_is_freed() {
    let server = server("ended", 1, |cleanup| cleanup.revoke = true);
    let _forgotten = in_transaction(&server).await;
    let pid = server.pool.leases()[0].server_pid.expect("known");
    DATABASE.sql("postgres", &format!("SELECT pg_terminate_backend({pid}, 5000)")).expect("ended");
    tokio::time::sleep(LONG).await;
    let report = clean(&server, &[ADMIN]).await;
    assert_eq!((report["revoked"].as_u64(), report["freed"].as_u64()), (Some(1), Some(1)), "{report}");
    lease(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_most_two_are_ended_at_once() {
    let server = server("many", 4, everything);
    let mut forgotten = Vec::new();
    for _ in 0..4 {
        forgotten.push(lease(&server).await);
    }
    tokio::time::sleep(LONG).await;
    let report = clean(&server, &[ADMIN]).await;
    assert_eq!((report["revoked"].as_u64(), report["freed"].as_u64()), (Some(2), Some(2)), "{report}");
    assert!(report["skipped"].to_string().contains("revoke: 2 are ended at once"), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_whose_session_cannot_be_ended_is_revoked_and_reported() {
    let url = DATABASE.create_database("no_signals").expect("created");
    DATABASE
        .sql(
            "no_signals",
            "CREATE ROLE powerless LOGIN; REVOKE EXECUTE ON FUNCTION pg_terminate_backend(int, bigint) FROM PUBLIC",
        )
        .expect("revoked");
    let url = url.replace("//postgres@", "//powerless@");
    let server = server_at(&url, "powerless", 2, |cleanup| cleanup.revoke = true);
    let mut forgotten = lease(&server).await;
    tokio::time::sleep(LONG).await;
    let report = clean(&server, &[ADMIN]).await;
    assert_eq!((report["revoked"].as_u64(), report["freed"].as_u64()), (Some(1), Some(0)), "{report}");
    assert_eq!(report["summary"], "0 freed, 1 leases busy, 1 suspiciously old, 1 revoked");
    let skipped = report["skipped"].to_string();
    let why = format!("revoke: the session of lease {} goes on: ", forgotten.id());
    assert!(skipped.contains(&why) && skipped.contains("permission denied"), "{skipped}");
    assert!(Revoked::caused(&forgotten.execute("SELECT 1").await.expect_err("revoked")));
    drop(forgotten);
    assert_eq!(server.pool.counts().checked_out, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_full_of_forgotten_leases_is_freed_automatically() {
    let server = server("automatic", 3, |cleanup| cleanup.revoke = true);
    let mut forgotten = Vec::new();
    for _ in 0..3 {
        forgotten.push(lease(&server).await);
    }
    eventually("cleaned", || server.poolgate.status().last_cleanup.is_some()).await;
    let report = server.poolgate.status().last_cleanup.expect("there");
    assert_eq!((report.trigger, report.revoked, report.freed), (CleanupTrigger::Automatic, 2, 2), "{report:?}");
    lease(&server).await;
    assert_eq!(server.poolgate.status().pool.checked_out, 1, "{report:?}");
}
