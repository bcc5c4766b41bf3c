//! Connections that die without a word while their holders wait for an answer.

use std::time::{Duration, Instant};

use poolgate_pool::{Lost, Pool, PoolConfig, PostgresSession};
use poolgate_server::{Poolgate, Settings};
use poolgate_test_harness::eventually;
use poolgate_test_postgres::{Postgres as Server, Proxy};
use sqlx::{Executor, Postgres};
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_on_a_dead_connection_ends_and_a_long_statement_does_not() {
    let postgres = tokio::task::spawn_blocking(Server::start).await.expect("joined").expect("PostgreSQL");
    let proxy = Proxy::to(postgres.port()).await.expect("a proxy");
    let pool = Pool::<Postgres>::builder(proxy.url("postgres").parse().expect("a URL"))
        .config(PoolConfig { size: 2, max_overflow: 0, ..PoolConfig::default() })
        .postgres(PostgresSession::default())
        .build()
        .expect("a pool");
    let poolgate = Poolgate::builder(pool.clone()).settings(Settings::default()).start();
    eventually("ready", || poolgate.readiness().missing().is_none()).await;
    let mut lease = pool.acquire().await.expect("a connection");
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut lease).await.expect("a number");
    let direct = Pool::<Postgres>::builder(postgres.url("postgres").parse().expect("a URL")).build().expect("a pool");
    let session_lives = async || {
        let mut lease = direct.acquire().await.expect("a connection");
        let lives = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)").bind(pid);
        lives.fetch_one(&mut lease).await.expect("an answer")
    };

    proxy.silence();
    let begun = Instant::now();
    let forgotten = tokio::spawn(async move { lease.execute("SELECT 1").await.map(drop) });
    tokio::time::sleep(Duration::from_secs(1)).await;
    proxy.restore();
    let mut working = pool.acquire().await.expect("a new connection");
    let long = tokio::spawn(async move { working.execute("SELECT pg_sleep(20)").await.map(drop) });
    assert!(session_lives().await, "its server has not heard of the silence");

    let ended = timeout(Duration::from_secs(30), forgotten).await.expect("in time").expect("joined");
    let error = ended.expect_err("no answer came");
    assert!(Lost::caused(&error), "{error}");
    assert!(begun.elapsed() >= Duration::from_secs(10), "{:?}: it may have been only slow", begun.elapsed());
    assert!(!session_lives().await, "the capacity of the pool is not exceeded");
    pool.acquire().await.expect("its place is free");
    long.await.expect("joined").expect("a statement that works is left alone");
}
