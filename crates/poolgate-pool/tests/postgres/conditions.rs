//! What connections are like when they come back.

use super::*;

#[tokio::test]
async fn what_was_cut_short_or_left_open_is_never_handed_on() -> Result {
    let limits = PoolConfig { verify_timeout: 5000 * MS, ..config(1, 0) };
    let pool = pool(&SERVER, "dirty", limits)?;
    let first = on_server_pid(&pool).await?;

    let mut lease = pool.acquire().await?;
    assert!(timeout(20 * MS, lease.execute("SELECT pg_sleep(1.5)")).await.is_err());
    drop(lease);
    assert_eq!((pool.counts().closing, pool.counts().idle), (1, 0), "not idle while it sleeps");
    assert!(is_fresh(&mut pool.acquire().await?).await?, "a query cut short");

    let mut lease = pool.acquire().await?;
    lease.execute("BEGIN").await?;
    drop(lease);
    assert!(is_fresh(&mut pool.acquire().await?).await?, "a raw BEGIN");

    let mut lease = pool.acquire().await?;
    lease.execute("BEGIN").await?;
    assert!(lease.execute("nonsense").await.is_err());
    drop(lease);
    assert!(is_fresh(&mut pool.acquire().await?).await?, "an aborted transaction");

    let mut lease = pool.acquire().await?;
    (*lease).execute("BEGIN").await?;
    drop(lease);
    assert!(is_fresh(&mut pool.acquire().await?).await?, "a raw BEGIN that nobody saw");

    let mut lease = pool.acquire().await?;
    lease.begin().await?.execute("SELECT 1").await?;
    drop(lease);
    assert!(is_fresh(&mut pool.acquire().await?).await?, "a dropped transaction");

    let mut lease = pool.acquire().await?;
    let slowly = lease.begin_with("SELECT pg_sleep(0.1); BEGIN");
    assert!(timeout(20 * MS, slowly).await.is_err());
    drop(lease);
    assert!(is_fresh(&mut pool.acquire().await?).await?, "a BEGIN cut short");

    let mut lease = pool.acquire().await?;
    let mut transaction = lease.begin().await?;
    let sleeping = transaction.execute("SELECT pg_sleep(1.5)");
    assert!(timeout(20 * MS, sleeping).await.is_err());
    drop(transaction);
    drop(lease);
    assert!(is_fresh(&mut pool.acquire().await?).await?, "a query cut short in a transaction");

    assert_eq!(on_server_pid(&pool).await?, first, "all this on one connection");
    let mut lease = pool.acquire().await?;
    lease.begin().await?.commit().await?;
    assert!(is_fresh(&mut lease).await?);
    drop(lease);
    assert_eq!((pool.counts().closing, pool.counts().idle), (0, 1), "no check when all is well");
    whole(&pool).await
}

async fn on_server_pid(pool: &PoolgatePool<Postgres>) -> Result<i32> {
    let mut lease = pool.acquire().await?;
    Ok(sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut lease).await?)
}

#[tokio::test]
async fn a_query_that_does_not_end_costs_its_connection() -> Result {
    let pool = pool(&SERVER, "endless", PoolConfig { verify_timeout: 50 * MS, ..config(1, 0) })?;
    let first = on_server_pid(&pool).await?;
    let mut lease = pool.acquire().await?;
    assert!(timeout(20 * MS, lease.execute("SELECT pg_sleep(60)")).await.is_err());
    drop(lease);
    let started = Instant::now();
    assert_ne!(on_server_pid(&pool).await?, first);
    assert!(started.elapsed() < 2000 * MS);
    SERVER.sql("postgres", &format!("SELECT pg_terminate_backend({first})"))?;
    whole(&pool).await
}
