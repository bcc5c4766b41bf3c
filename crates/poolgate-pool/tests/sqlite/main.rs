//! The pool on real SQLite files.

mod clean;
mod conditions;
mod hooks;
mod limits;
mod stress;
mod traces;
mod work;

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use poolgate_pool::{AcquireError, CloseReason, Counts, Lease, Observer, Pool, PoolConfig, Purpose, sqlite_options};
use sqlx::{Connection, Executor, Sqlite};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const MS: Duration = Duration::from_millis(1);

struct Database {
    folder: TempDir,
}

impl Database {
    fn new() -> Result<Self> {
        Ok(Self { folder: TempDir::new()? })
    }

    fn builder(&self, config: PoolConfig) -> poolgate_pool::Builder<Sqlite> {
        Pool::builder(sqlite_options(self.folder.path().join("test.db"))).config(config)
    }

    fn pool(&self, size: u32, max_overflow: u32) -> Result<Pool<Sqlite>> {
        Ok(self.builder(config(size, max_overflow)).build()?)
    }
}

fn config(size: u32, max_overflow: u32) -> PoolConfig {
    // The tests use up connections faster than a service does.
    PoolConfig { size, max_overflow, acquire_timeout: 5000 * MS, connect_rate: 1000, ..PoolConfig::default() }
}

/// `[checked_out, idle, connecting, closing, waiting]`
fn figures(counts: Counts) -> [u32; 5] {
    let Counts { checked_out, idle, connecting, closing, waiting, .. } = counts;
    [checked_out, idle, connecting, closing, waiting]
}

/// Waits for these figures; fails with the actual ones.
async fn settled(pool: &Pool<Sqlite>, expected: [u32; 5]) {
    let deadline = Instant::now() + 5000 * MS;
    while figures(pool.counts()) != expected {
        assert!(Instant::now() < deadline, "{:?} is not {expected:?}", pool.counts());
        sleep(MS).await;
    }
}

/// At the end of a test: the whole capacity can be acquired at the same time.
async fn whole(pool: &Pool<Sqlite>) -> Result {
    let mut leases = Vec::new();
    for _ in 0..pool.counts().capacity {
        leases.push(pool.acquire().await?);
    }
    for lease in &mut leases {
        assert_eq!(one(lease).await?, 1);
    }
    Ok(())
}

async fn one(lease: &mut Lease<Sqlite>) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT 1").fetch_one(lease).await
}

#[tokio::test]
async fn the_figures_follow_queue_pool() -> Result {
    let database = Database::new()?;
    let pool = database.pool(2, 1)?;
    assert_eq!(figures(pool.counts()), [0, 0, 0, 0, 0], "nothing is opened ahead");

    let mut a = pool.acquire().await?;
    assert_eq!(one(&mut a).await?, 1);
    assert_eq!(figures(pool.counts()), [1, 0, 0, 0, 0]);
    let b = pool.acquire().await?;
    let c = pool.acquire().await?;
    assert_eq!(figures(pool.counts()), [3, 0, 0, 0, 0]);
    assert_eq!((pool.counts().overflow(), pool.counts().available()), (1, 0));
    let places = pool.leases();
    assert_eq!(places.iter().map(|l| l.id).collect::<Vec<_>>(), [a.id(), b.id(), c.id()]);
    assert!(places.iter().all(|lease| lease.location.file() == file!()));
    let oldest = pool.counts().oldest_checkout.ok_or("no oldest lease")?;
    assert!(oldest <= a.age());

    let waiter = tokio::spawn({
        let pool = pool.clone();
        async move { pool.acquire().await }
    });
    settled(&pool, [3, 0, 0, 0, 1]).await;
    let returned = pool.leases()[0].connection;
    drop(a);
    let d = waiter.await??;
    let passed_on = pool.leases().iter().find(|l| l.id == d.id()).map(|l| l.connection);
    assert_eq!(passed_on, Some(returned), "the returned connection goes to who waits");

    drop(b);
    assert_eq!(figures(pool.counts()), [2, 1, 0, 0, 0], "a clean return is idle at once");
    drop(c);
    assert_eq!(figures(pool.counts()), [1, 2, 0, 0, 0]);
    drop(d);
    settled(&pool, [0, 2, 0, 0, 0]).await;
    assert_eq!(pool.counts().open(), 2, "beyond the size one is closed");

    assert_eq!(pool.dispose(), 2);
    assert_eq!(pool.counts().generation, 1);
    settled(&pool, [0, 0, 0, 0, 0]).await;
    whole(&pool).await
}

#[derive(Default)]
struct Watch {
    acquired: AtomicU32,
    released: AtomicU32,
    created: AtomicU32,
    timed_out: AtomicU32,
    closed: AtomicU32,
    broken: AtomicU32,
}

impl Observer for Watch {
    fn acquired(&self, _: Duration) {
        self.acquired.fetch_add(1, Relaxed);
    }
    fn released(&self, _: Duration, _: Option<&poolgate_pool::Purpose>) {
        self.released.fetch_add(1, Relaxed);
    }
    fn created(&self, _: Duration) {
        self.created.fetch_add(1, Relaxed);
    }
    fn timed_out(&self, _: Duration) {
        self.timed_out.fetch_add(1, Relaxed);
    }
    fn closed(&self, reason: CloseReason) {
        self.closed.fetch_add(1, Relaxed);
        self.broken.fetch_add(u32::from(reason == CloseReason::Broken), Relaxed);
    }
}
