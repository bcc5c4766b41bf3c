//! The pool on real SQLite files.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use poolgate_pool::{
    AcquireError, CloseReason, Counts, Lease, Observer, PoolConfig, PoolgatePool, sqlite_options,
};
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
        Ok(Self {
            folder: TempDir::new()?,
        })
    }

    fn builder(&self, config: PoolConfig) -> poolgate_pool::Builder<Sqlite> {
        PoolgatePool::builder(sqlite_options(self.folder.path().join("test.db"))).config(config)
    }

    fn pool(&self, size: u32, max_overflow: u32) -> Result<PoolgatePool<Sqlite>> {
        Ok(self.builder(config(size, max_overflow)).build()?)
    }
}

fn config(size: u32, max_overflow: u32) -> PoolConfig {
    PoolConfig {
        size,
        max_overflow,
        timeout: 5000 * MS,
        ..PoolConfig::default()
    }
}

/// `[checked_out, idle, connecting, closing, waiting]`
fn figures(counts: Counts) -> [u32; 5] {
    let Counts {
        checked_out,
        idle,
        connecting,
        closing,
        waiting,
        ..
    } = counts;
    [checked_out, idle, connecting, closing, waiting]
}

/// Waits until the figures are so; fails with those that are.
async fn settled(pool: &PoolgatePool<Sqlite>, expected: [u32; 5]) {
    let deadline = Instant::now() + 5000 * MS;
    while figures(pool.counts()) != expected {
        assert!(
            Instant::now() < deadline,
            "{:?} is not {expected:?}",
            pool.counts()
        );
        sleep(MS).await;
    }
}

/// At the end of a test: every place in the pool can still be had at the same time.
async fn whole(pool: &PoolgatePool<Sqlite>) -> Result {
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

/// One that takes some tenths of a second.
const LONG: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000) \
                    SELECT max(i) FROM n";

#[tokio::test]
async fn the_figures_follow_queue_pool() -> Result {
    let database = Database::new()?;
    let pool = database.pool(2, 1)?;
    assert_eq!(
        figures(pool.counts()),
        [0, 0, 0, 0, 0],
        "nothing is opened ahead"
    );

    let mut a = pool.acquire().await?;
    assert_eq!(one(&mut a).await?, 1);
    assert_eq!(figures(pool.counts()), [1, 0, 0, 0, 0]);
    let b = pool.acquire().await?;
    let c = pool.acquire().await?;
    assert_eq!(figures(pool.counts()), [3, 0, 0, 0, 0]);
    assert_eq!(
        (pool.counts().overflow(), pool.counts().available()),
        (1, 0)
    );
    let places = pool.leases();
    assert_eq!(
        places.iter().map(|l| l.id).collect::<Vec<_>>(),
        [a.id(), b.id(), c.id()]
    );
    assert!(
        places
            .iter()
            .all(|lease| lease.place.file().ends_with("sqlite.rs"))
    );
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
    let passed_on = pool
        .leases()
        .iter()
        .find(|l| l.id == d.id())
        .map(|l| l.connection);
    assert_eq!(
        passed_on,
        Some(returned),
        "the returned connection goes to who waits"
    );

    drop(b);
    assert_eq!(
        figures(pool.counts()),
        [2, 1, 0, 0, 0],
        "a clean return is idle at once"
    );
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

#[tokio::test]
async fn a_timeout_says_who_holds_the_connections() -> Result {
    let database = Database::new()?;
    let pool = database
        .builder(PoolConfig {
            timeout: 50 * MS,
            ..config(1, 0)
        })
        .build()?;
    let held = pool.acquire().await?;
    let started = Instant::now();
    let Err(AcquireError::Timeout(diagnosis)) = pool.acquire().await else {
        panic!("there was a second connection")
    };
    assert!((50 * MS..1000 * MS).contains(&started.elapsed()));
    assert!(diagnosis.waited >= 50 * MS);
    assert_eq!(
        (diagnosis.checked_out, diagnosis.capacity, diagnosis.waiting),
        (1, 1, 0)
    );
    let (age, place) = diagnosis.oldest_lease.ok_or("no oldest lease")?;
    assert!(age >= diagnosis.waited);
    assert_eq!(place, held.place());
    assert!(
        diagnosis
            .to_string()
            .contains(&format!("acquired at {}", held.place()))
    );
    drop(held);
    whole(&pool).await
}

#[tokio::test]
async fn callers_who_give_up_leave_a_warm_pool() -> Result {
    let database = Database::new()?;
    let opened = Arc::new(AtomicU32::new(0));
    let pool = database
        .builder(config(5, 10))
        .on_connect({
            let opened = Arc::clone(&opened);
            move |_| {
                opened.fetch_add(1, Relaxed);
                Box::pin(async {
                    sleep(30 * MS).await;
                    Ok(())
                })
            }
        })
        .build()?;
    let callers = (0..200).map(|n| {
        let pool = pool.clone();
        tokio::spawn(async move { timeout(n % 20 * MS, pool.acquire()).await.is_ok() })
    });
    let mut served = 0;
    for caller in callers.collect::<Vec<_>>() {
        served += u32::from(caller.await?);
    }
    assert_eq!(served, 0, "a connect takes longer than anyone waited");
    settled(&pool, [0, 2, 0, 0, 0]).await;
    assert_eq!(
        opened.load(Relaxed),
        2,
        "no more than max_connecting were begun for them"
    );
    let later = timeout(5 * MS, pool.acquire()).await??;
    drop(later);
    whole(&pool).await
}

#[tokio::test]
async fn what_was_cut_short_or_left_open_is_never_handed_on() -> Result {
    let database = Database::new()?;
    let pool = database.pool(1, 0)?;
    pool.acquire()
        .await?
        .execute("CREATE TABLE t (n INTEGER)")
        .await?;
    let rows = async || -> Result<i64> {
        let mut lease = pool.acquire().await?;
        let rows = sqlx::query_scalar("SELECT count(*) FROM t")
            .fetch_one(&mut lease)
            .await?;
        // Nothing is open: a transaction can begin.
        lease
            .begin_with("BEGIN IMMEDIATE")
            .await?
            .rollback()
            .await?;
        Ok(rows)
    };
    let insert = "INSERT INTO t VALUES (1)";

    let mut raw = pool.acquire().await?;
    raw.execute("BEGIN IMMEDIATE").await?;
    raw.execute(insert).await?;
    drop(raw);
    assert_eq!(
        pool.counts().closing,
        1,
        "a raw BEGIN without an end is put right first"
    );
    assert_eq!(rows().await?, 0);

    let mut unseen = pool.acquire().await?;
    (*unseen).execute("BEGIN IMMEDIATE").await?;
    (*unseen).execute(insert).await?;
    drop(unseen);
    assert_eq!(rows().await?, 0, "the same through the sqlx connection");

    let mut lease = pool.acquire().await?;
    let mut transaction = lease.begin().await?;
    transaction.execute(insert).await?;
    drop(transaction);
    drop(lease);
    assert_eq!(rows().await?, 0, "a dropped transaction");

    let mut forgotten = pool.acquire().await?;
    let mut transaction = Connection::begin(&mut *forgotten).await?;
    transaction.execute(insert).await?;
    std::mem::forget(transaction);
    drop(forgotten);
    assert_eq!(rows().await?, 0, "a transaction that is never dropped");

    let mut cut_short = pool.acquire().await?;
    let started = Instant::now();
    assert!(timeout(20 * MS, cut_short.execute(LONG)).await.is_err());
    drop(cut_short);
    assert_eq!(
        pool.counts().closing,
        1,
        "it is not idle while the query runs on"
    );
    assert_eq!(rows().await?, 0);
    assert!(
        started.elapsed() > 40 * MS,
        "the query ended too early to tell"
    );

    let mut well = pool.acquire().await?;
    let mut transaction = well.begin().await?;
    transaction.execute(insert).await?;
    sqlx::query("INSERT INTO t VALUES ($1)")
        .bind(2)
        .execute(&mut **transaction.as_sqlx())
        .await?;
    transaction.commit().await?;
    well.execute("BEGIN").await?;
    well.execute(insert).await?;
    well.execute("COMMIT").await?;
    drop(well);
    assert_eq!(
        figures(pool.counts()),
        [0, 1, 0, 0, 0],
        "what has ended well needs no check"
    );
    assert_eq!(rows().await?, 3);
    whole(&pool).await
}

#[tokio::test]
async fn a_connection_that_cannot_be_put_right_is_closed() -> Result {
    let database = Database::new()?;
    let limits = PoolConfig {
        verify_timeout: 50 * MS,
        close_timeout: 50 * MS,
        ..config(1, 0)
    };
    let watch = Arc::new(Watch::default());
    let pool = database.builder(limits).observer(watch.clone()).build()?;
    let mut lease = pool.acquire().await?;
    // A thread of its own runs this query to its end, whoever has given up; so it must have one.
    assert!(timeout(5 * MS, lease.execute(LONG)).await.is_err());
    lease.discard();
    drop(lease);
    assert_eq!(one(&mut pool.acquire().await?).await?, 1);
    assert_eq!(watch.broken.load(Relaxed), 1);
    whole(&pool).await
}

#[tokio::test]
async fn rows_that_nobody_reads_make_a_lease_doubtful() -> Result {
    use futures_util::TryStreamExt;
    let database = Database::new()?;
    let pool = database.pool(1, 0)?;
    let mut lease = pool.acquire().await?;
    let mut rows = sqlx::query("SELECT 1 UNION SELECT 2").fetch(&mut lease);
    assert!(rows.try_next().await?.is_some());
    drop(rows);
    drop(lease);
    assert_eq!(pool.counts().closing, 1);

    let mut lease = pool.acquire().await?;
    let all = sqlx::query("SELECT 1 UNION SELECT 2")
        .fetch_all(&mut lease)
        .await?;
    assert_eq!(all.len(), 2);
    assert!(
        sqlx::query("SELECT 1 WHERE 1 = 2")
            .fetch_one(&mut lease)
            .await
            .is_err()
    );
    assert!(
        sqlx::query("SELECT 1 WHERE 1 = 2")
            .fetch_optional(&mut lease)
            .await?
            .is_none()
    );
    lease
        .prepare(sqlx::SqlSafeStr::into_sql_str("SELECT 1"))
        .await?;
    drop(lease);
    assert_eq!(figures(pool.counts()), [0, 1, 0, 0, 0]);
    assert!(pool.acquire().await?.execute("nonsense").await.is_err());
    whole(&pool).await
}

#[tokio::test]
async fn failures_to_connect_are_told_apart() -> Result {
    let nowhere = sqlite_options("/nonexistent/folder/test.db");
    let pool = PoolgatePool::<Sqlite>::builder(nowhere).build()?;
    let error = pool.acquire().await.unwrap_err();
    assert!(
        matches!(error, AcquireError::Connect(_)) && error.source().is_some(),
        "{error}"
    );
    assert!(pool.contact().failed.is_some() && pool.contact().answered.is_none());
    assert_eq!(pool.contact().consecutive_failures, 1);
    let started = Instant::now();
    assert!(pool.acquire().await.is_err());
    assert!(
        started.elapsed() < 25 * MS,
        "within the pause the answer is there at once"
    );
    assert_eq!(
        pool.contact().consecutive_failures,
        1,
        "and the database is not asked"
    );
    sleep(60 * MS).await;
    assert!(pool.acquire().await.is_err());
    assert_eq!(pool.contact().consecutive_failures, 2);

    let database = Database::new()?;
    let pool = database
        .builder(PoolConfig {
            connect_timeout: 20 * MS,
            ..config(1, 0)
        })
        .on_connect(|_| Box::pin(std::future::pending()))
        .build()?;
    let error = pool.acquire().await.unwrap_err();
    assert!(
        matches!(error, AcquireError::ConnectTimeout { .. }),
        "{error}"
    );

    let pool = database
        .builder(config(1, 0))
        .on_connect(|connection| Box::pin(async { connection.execute("nonsense").await.map(drop) }))
        .build()?;
    let error = pool.acquire().await.unwrap_err();
    assert!(error.to_string().contains("nonsense"), "{error}");
    assert_eq!(pool.counts().open(), 0);
    Ok(())
}

#[tokio::test]
async fn an_exhausted_pool_can_be_looked_past() -> Result {
    let database = Database::new()?;
    let pool = database.pool(1, 0)?;
    let held = pool.acquire().await?;
    let mut apart = pool.connect_apart(1000 * MS).await?;
    apart.ping().await?;
    apart.close().await?;
    assert_eq!(figures(pool.counts()), [1, 0, 0, 0, 0]);
    assert!(pool.contact().answered.is_some());
    drop(held);
    whole(&pool).await
}

#[tokio::test]
async fn a_drained_pool_is_empty_and_closed() -> Result {
    let database = Database::new()?;
    let pool = database.pool(2, 1)?;
    let (a, b) = (pool.acquire().await?, pool.acquire().await?);
    let c = pool.acquire().await?;
    drop(a);
    let waiters = [(); 2].map(|()| {
        let pool = pool.clone();
        tokio::spawn(async move {
            let lease = pool.acquire().await?;
            sleep(200 * MS).await;
            drop(lease);
            Ok::<_, AcquireError>(())
        })
    });
    settled(&pool, [3, 0, 0, 0, 1]).await;
    let early = pool.drain(20 * MS).await;
    assert_eq!(
        (early.leases_left, early.waiting_refused, early.idle_closed),
        (3, 1, 0)
    );
    assert!(matches!(pool.acquire().await, Err(AcquireError::Closed)));
    drop((b, c));
    let late = pool.drain(5000 * MS).await;
    assert_eq!((late.leases_left, late.connections_left), (0, 0));
    let mut results = Vec::new();
    for waiter in waiters {
        results.push(waiter.await?.is_ok());
    }
    results.sort_unstable();
    assert_eq!(
        results,
        [false, true],
        "one was served and left in peace, one was told"
    );
    Ok(())
}

#[tokio::test]
async fn idle_connections_can_be_given_up_and_sizes_changed() -> Result {
    let database = Database::new()?;
    let pool = database
        .builder(PoolConfig {
            min_idle: 1,
            ..config(3, 0)
        })
        .build()?;
    whole(&pool).await?;
    assert_eq!(figures(pool.counts()), [0, 3, 0, 0, 0]);
    assert_eq!(pool.close_surplus_idle(), 2);
    settled(&pool, [0, 1, 0, 0, 0]).await;

    let held = [
        pool.acquire().await?,
        pool.acquire().await?,
        pool.acquire().await?,
    ];
    pool.resize(1, 0)?;
    assert!(pool.resize(0, 0).is_err());
    drop(held);
    settled(&pool, [0, 1, 0, 0, 0]).await;
    whole(&pool).await?;
    pool.resize(2, 2)?;
    whole(&pool).await
}

#[tokio::test]
async fn old_connections_are_replaced() -> Result {
    let database = Database::new()?;
    let pool = database
        .builder(PoolConfig {
            recycle: Some(40 * MS),
            ..config(1, 0)
        })
        .build()?;
    drop(pool.acquire().await?);
    let first = connection_number(&pool).await?;
    assert_eq!(connection_number(&pool).await?, first);
    sleep(41 * MS).await;
    assert!(connection_number(&pool).await? > first);
    whole(&pool).await
}

async fn connection_number(pool: &PoolgatePool<Sqlite>) -> Result<u64> {
    let _lease = pool.acquire().await?;
    Ok(pool.leases()[0].connection)
}

#[test]
fn a_lease_may_be_dropped_anywhere() -> Result {
    let database = Database::new()?;
    let pool = database.pool(2, 0)?;
    let outside = poll_once(pool.acquire());
    assert!(matches!(outside, Some(Err(AcquireError::NoRuntime))));

    let runtime = tokio::runtime::Runtime::new()?;
    let (clean, dirty) = runtime.block_on(async {
        let mut dirty = pool.acquire().await?;
        dirty.execute("BEGIN").await?;
        Ok::<_, Box<dyn std::error::Error>>((pool.acquire().await?, dirty))
    })?;
    drop(clean);
    std::thread::spawn(move || drop(dirty))
        .join()
        .expect("no panic outside the runtime");
    runtime.block_on(settled(&pool, [0, 2, 0, 0, 0]));

    let survivor = runtime.block_on(pool.acquire())?;
    let mut dirty = runtime.block_on(pool.acquire())?;
    runtime.block_on(dirty.execute("BEGIN"))?;
    drop(runtime);
    drop((survivor, dirty));
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(whole(&pool))
}

/// Polls once, without any runtime.
fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test]
async fn a_panicking_user_does_not_harm_the_pool() -> Result {
    let database = Database::new()?;
    let pool = database.pool(1, 0)?;
    let user = tokio::spawn({
        let pool = pool.clone();
        async move {
            let _lease = pool.acquire().await;
            panic!("on purpose");
        }
    });
    assert!(user.await.is_err());
    settled(&pool, [0, 1, 0, 0, 0]).await;
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
    fn released(&self, _: Duration) {
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
        self.broken
            .fetch_add(u32::from(reason == CloseReason::Broken), Relaxed);
    }
}

/// Many tasks, each with a will of its own: queries, transactions, cancels, discards, raw leftovers, disposes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stress() -> Result {
    const TASKS: u64 = 200;
    const OPERATIONS: u64 = 100;
    let database = Database::new()?;
    let watch = Arc::new(Watch::default());
    let pool = database
        .builder(config(5, 10))
        .observer(watch.clone())
        .build()?;
    let highest = Arc::new(AtomicU32::new(0));
    let look = {
        let (pool, highest) = (pool.clone(), Arc::clone(&highest));
        move || {
            let counts = pool.counts();
            highest.fetch_max(counts.open(), Relaxed);
            assert!(
                counts.open() <= counts.capacity && counts.idle <= 5,
                "{counts:?}"
            );
        }
    };
    let tasks = (0..TASKS).map(|task| {
        let (pool, look) = (pool.clone(), look.clone());
        tokio::spawn(async move {
            let mut random = Random(task + 1);
            let mut done = 0_u64;
            for _ in 0..OPERATIONS {
                if random.below(200) == 0 {
                    pool.dispose();
                }
                let patience = if random.below(5) == 0 {
                    random.below(3)
                } else {
                    20_000
                };
                let work = async {
                    let mut lease = pool.acquire().await?;
                    match random.below(10) {
                        0 => lease.begin().await.map(drop)?,
                        1 => lease.begin().await?.commit().await?,
                        2 => lease.execute("BEGIN").await.map(drop)?,
                        3 if random.below(10) == 0 => lease.discard(),
                        _ => assert_eq!(one(&mut lease).await?, 1),
                    }
                    Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
                };
                match timeout(u32::try_from(patience).unwrap_or(0) * MS, work).await {
                    Ok(Ok(())) => done += 1,
                    Ok(Err(error)) => panic!("{error}"),
                    Err(_gave_up) => {}
                }
                look();
            }
            done
        })
    });
    let mut done = 0;
    for task in tasks.collect::<Vec<_>>() {
        done += task.await?;
    }
    println!(
        "{done} of {} operations, {} connects, {} open at most",
        TASKS * OPERATIONS,
        watch.created.load(Relaxed),
        highest.load(Relaxed)
    );
    assert!(
        done > TASKS * OPERATIONS / 2,
        "only {done} operations succeeded"
    );
    assert_eq!(pool.counts().checked_out, 0);
    assert_eq!(watch.acquired.load(Relaxed), watch.released.load(Relaxed));
    assert_eq!(watch.timed_out.load(Relaxed), 0);
    whole(&pool).await?;
    let drained = pool.drain(5000 * MS).await;
    assert_eq!(drained.connections_left, 0);
    assert_eq!(
        watch.created.load(Relaxed),
        watch.closed.load(Relaxed),
        "each is closed once"
    );
    Ok(())
}

/// xorshift64
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
