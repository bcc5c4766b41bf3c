//! The condition of returned connections.

use super::*;

/// A query that takes some tenths of a second.
const LONG: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000) \
                    SELECT max(i) FROM n";

#[tokio::test]
async fn what_was_cut_short_or_left_open_is_never_handed_on() -> Result {
    let database = Database::new()?;
    let pool = database.pool(1, 0)?;
    pool.acquire().await?.execute("CREATE TABLE t (n INTEGER)").await?;
    let rows = async || -> Result<i64> {
        let mut lease = pool.acquire().await?;
        let rows = sqlx::query_scalar("SELECT count(*) FROM t").fetch_one(&mut lease).await?;
        // No transaction is open: one can begin.
        lease.begin_with("BEGIN IMMEDIATE").await?.rollback().await?;
        Ok(rows)
    };
    let insert = "INSERT INTO t VALUES (1)";

    let mut raw = pool.acquire().await?;
    raw.execute("BEGIN IMMEDIATE").await?;
    raw.execute(insert).await?;
    drop(raw);
    assert_eq!(pool.counts().closing, 1, "a raw BEGIN without an end is put right first");
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
    assert_eq!(pool.counts().closing, 1, "it is not idle while the query runs on");
    assert_eq!(rows().await?, 0);
    assert!(started.elapsed() > 40 * MS, "the query ended too early to tell");

    let mut well = pool.acquire().await?;
    let mut transaction = well.begin().await?;
    transaction.execute(insert).await?;
    sqlx::query("INSERT INTO t VALUES ($1)").bind(2).execute(&mut transaction).await?;
    transaction.commit().await?;
    well.execute("BEGIN").await?;
    well.execute(insert).await?;
    well.execute("COMMIT").await?;
    drop(well);
    assert_eq!(figures(pool.counts()), [0, 1, 0, 0, 0], "what has ended well needs no check");
    assert_eq!(rows().await?, 3);
    whole(&pool).await
}

#[tokio::test]
async fn a_discarded_connection_is_closed_even_in_the_middle_of_a_query() -> Result {
    let database = Database::new()?;
    let watch = Arc::new(Watch::default());
    let pool = database.builder(config(1, 0)).observer(watch.clone()).build()?;
    let mut lease = pool.acquire().await?;
    assert!(timeout(5 * MS, lease.execute(LONG)).await.is_err());
    lease.discard();
    drop(lease);
    assert_eq!(one(&mut pool.acquire().await?).await?, 1);
    assert_eq!(watch.broken.load(Relaxed), 1);
    whole(&pool).await
}

#[tokio::test]
async fn unread_rows_make_a_lease_doubtful() -> Result {
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
    let all = sqlx::query("SELECT 1 UNION SELECT 2").fetch_all(&mut lease).await?;
    assert_eq!(all.len(), 2);
    assert!(sqlx::query("SELECT 1 WHERE 1 = 2").fetch_one(&mut lease).await.is_err());
    assert!(sqlx::query("SELECT 1 WHERE 1 = 2").fetch_optional(&mut lease).await?.is_none());
    lease.prepare(sqlx::SqlSafeStr::into_sql_str("SELECT 1")).await?;
    drop(lease);
    assert_eq!(figures(pool.counts()), [0, 1, 0, 0, 0]);
    assert!(pool.acquire().await?.execute("nonsense").await.is_err());
    whole(&pool).await
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
    std::thread::spawn(move || drop(dirty)).join().expect("no panic outside the runtime");
    runtime.block_on(settled(&pool, [0, 2, 0, 0, 0]));

    let survivor = runtime.block_on(pool.acquire())?;
    let mut dirty = runtime.block_on(pool.acquire())?;
    runtime.block_on(dirty.execute("BEGIN"))?;
    drop(runtime);
    drop((survivor, dirty));
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(whole(&pool))
}

/// Polls once, outside a runtime.
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
