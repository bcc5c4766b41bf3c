//! The pool on a real PostgreSQL server.

mod addresses;
mod clean;
mod conditions;
mod crowds;
mod failover;
mod logins;
mod migrations;
mod outages;
mod pgbouncer;
mod sessions;
mod silence;

use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use poolgate_pool::{AcquireError, Lease, Lost, Pool, PoolConfig, PostgresSession, Revoked};
use poolgate_test_postgres::{Postgres as Server, Proxy};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Any, Connection, Executor, Postgres, Row};
use tokio::time::{sleep, timeout};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const MS: Duration = Duration::from_millis(1);

/// The longest pauses between two connects: in general, and while the server is full.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE_FULL: Duration = Duration::from_secs(5);
/// Time for a connect on a busy machine.
const SLACK: Duration = Duration::from_secs(1);

/// One server, shared by the tests that do not stop it.
static SERVER: LazyLock<Server> = LazyLock::new(|| Server::start().expect("PostgreSQL"));

fn config(size: u32, max_overflow: u32) -> PoolConfig {
    // The tests use up connections faster than a service does.
    PoolConfig { size, max_overflow, acquire_timeout: 10_000 * MS, connect_rate: 1000, ..PoolConfig::default() }
}

/// A pool whose connections have the application name `name`.
fn pool(server: &Server, name: &str, config: PoolConfig) -> Result<Pool<Postgres>> {
    let options: PgConnectOptions = server.url("postgres").parse()?;
    Ok(Pool::builder(options.application_name(name)).config(config).build()?)
}

/// The server's list of the connections with this name.
fn on_server(server: &Server, name: &str, what: &str) -> Result<String> {
    let question = format!("SELECT {what} FROM pg_stat_activity WHERE application_name = '{name}'");
    Ok(server.sql("postgres", &question)?)
}

/// The connection answers at once, and no transaction is open on it, not even an empty one.
async fn is_fresh(lease: &mut Lease<Postgres>) -> Result<bool> {
    let started = Instant::now();
    // The simple protocol: with the extended one each message counts as a statement.
    let row = sqlx::raw_sql("SELECT now() = statement_timestamp()").fetch_one(lease).await?;
    Ok(row.get::<bool, _>(0) && started.elapsed() < 1000 * MS)
}

/// At the end of a test: the whole capacity can be acquired at the same time.
async fn whole(pool: &Pool<Postgres>) -> Result {
    let mut leases = Vec::new();
    for _ in 0..pool.counts().capacity {
        leases.push(pool.acquire().await?);
    }
    for lease in &mut leases {
        assert!(is_fresh(lease).await?);
    }
    Ok(())
}

/// A caller that retries gets a connection within the limit.
async fn found_again(pool: &Pool<Postgres>, limit: Duration) -> Result {
    let back = Instant::now();
    while pool.acquire().await.is_err() {
        assert!(back.elapsed() < limit, "still away");
        sleep(10 * MS).await;
    }
    println!("found again {:?} after it was back", back.elapsed());
    Ok(())
}

#[tokio::test]
async fn the_server_sees_what_the_pool_counts() -> Result {
    let pool = pool(&SERVER, "counts", config(2, 1))?;
    let leases = [pool.acquire().await?, pool.acquire().await?, pool.acquire().await?];
    assert_eq!(on_server(&SERVER, "counts", "count(*)")?, "3");
    drop(leases);
    let deadline = Instant::now() + 5000 * MS;
    while (pool.counts().open(), on_server(&SERVER, "counts", "count(*)")?.as_str()) != (2, "2") {
        assert!(Instant::now() < deadline, "{:?}", pool.counts());
        sleep(5 * MS).await;
    }
    whole(&pool).await?;
    let drained = pool.drain(5000 * MS).await;
    assert_eq!(drained.connections_left, 0);
    Ok(())
}

/// Checks that there are never more connections than the capacity, in the pool's counts and on the server. The server's
/// list may be longer for a moment, because a process ends later than its connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dispose_under_load_stays_within_the_capacity() -> Result {
    static DONE: AtomicBool = AtomicBool::new(false);
    static SERVED: AtomicU32 = AtomicU32::new(0);
    let pool = pool(&SERVER, "dispose", PoolConfig { max_connecting: 8, ..config(4, 4) })?;
    let users = (0..24).map(|_| {
        let pool = pool.clone();
        tokio::spawn(async move {
            while !DONE.load(Relaxed) {
                let mut lease = pool.acquire().await?;
                lease
                    .execute("SELECT pg_sleep(0.002)")
                    .await
                    .map_err(|e| AcquireError::Connect(std::sync::Arc::new(e)))?;
                SERVED.fetch_add(1, Relaxed);
            }
            Ok::<_, AcquireError>(())
        })
    });
    let users = users.collect::<Vec<_>>();
    let watcher = tokio::spawn({
        let pool = pool.clone();
        async move {
            let mut highest = 0;
            while !DONE.load(Relaxed) {
                let counts = pool.counts();
                assert!(counts.open() <= counts.capacity, "{counts:?}");
                highest = highest.max(counts.open());
                tokio::task::yield_now().await;
            }
            highest
        }
    });
    let mut watch = sqlx::PgConnection::connect(&SERVER.url("postgres")).await?;
    let (mut most, mut connected, mut samples) = (0, 0, 0);
    let started = Instant::now();
    let mut disposals = 0;
    while started.elapsed() < 2000 * MS || disposals < 6 {
        if samples % 4 == 0 {
            pool.dispose();
            disposals += 1;
        }
        let ports: Vec<i32> =
            sqlx::query_scalar("SELECT client_port FROM pg_stat_activity WHERE application_name = 'dispose'")
                .fetch_all(&mut watch)
                .await?;
        most = most.max(ports.len());
        // All of these were connected before and after, so they were connected at the same time.
        let still = connected_ports()?;
        connected = connected.max(ports.iter().filter(|port| still.contains(port)).count());
        samples += 1;
        sleep(2 * MS).await;
    }
    DONE.store(true, Relaxed);
    for user in users {
        user.await??;
    }
    let highest = watcher.await?;
    println!(
        "{} operations, {disposals} disposals: at most {highest} of 8 by the pool's count; {connected} connected and \
         {most} in the server's list, in {samples} samples",
        SERVED.load(Relaxed)
    );
    assert!(SERVED.load(Relaxed) > 100);
    assert!((1..=8).contains(&connected), "{connected} on the server");
    assert_eq!(pool.counts().checked_out, 0);
    whole(&pool).await
}

/// Local ports of this machine's open TCP connections, as Linux lists them.
fn connected_ports() -> Result<HashSet<i32>> {
    const ESTABLISHED: &str = "01";
    let list = std::fs::read_to_string("/proc/net/tcp")?;
    let port = |line: &str| {
        let mut columns = line.split_whitespace().skip(1);
        let (_, port) = columns.next()?.split_once(':')?;
        let state = columns.nth(1)?;
        (state == ESTABLISHED).then(|| i32::from_str_radix(port, 16).ok())?
    };
    Ok(list.lines().filter_map(port).collect())
}

#[tokio::test]
async fn any_is_postgres_too() -> Result {
    sqlx::any::install_default_drivers();
    let pool = Pool::<Any>::builder(SERVER.url("postgres").parse()?)
        .after_connect(poolgate_pool::sqlite_defaults)
        .config(config(1, 0))
        .build()?;
    let mut lease = pool.acquire().await?;
    assert_eq!(lease.backend_name(), "PostgreSQL");
    let sum: i64 = sqlx::query_scalar("SELECT CAST($1 + 1 AS BIGINT)").bind(2_i64).fetch_one(&mut lease).await?;
    assert_eq!(sum, 3);
    let rows = sqlx::query("SELECT 1 UNION SELECT 2").fetch_all(&mut lease).await?;
    assert_eq!(rows.len(), 2);
    drop(lease);
    assert_eq!(pool.counts().idle, 1, "clean");

    let mut lease = pool.acquire().await?;
    lease.begin().await?.execute("CREATE TABLE any_is_postgres (n int)").await?;
    drop(lease);
    let mut lease = pool.acquire().await?;
    assert!(lease.execute("SELECT * FROM any_is_postgres").await.is_err(), "rolled back");
    Ok(())
}
