//! The app's hooks: each has a time limit, and none costs a slot.

use std::sync::atomic::AtomicBool;

use futures_core::future::BoxFuture;

use super::*;

fn short(size: u32) -> PoolConfig {
    PoolConfig { verify_timeout: 100 * MS, ..config(size, 0) }
}

/// What a hook does when it is called.
fn answer(mode: u32) -> BoxFuture<'static, sqlx::Result<bool>> {
    Box::pin(async move {
        match mode {
            0 => Ok(true),
            1 => Ok(false),
            2 => Err(sqlx::Error::WorkerCrashed),
            _ => std::future::pending().await,
        }
    })
}

async fn number(pool: &Pool<Sqlite>) -> Result<u64> {
    let _lease = pool.acquire().await?;
    Ok(pool.leases()[0].connection)
}

#[tokio::test]
async fn a_connection_that_the_hook_before_an_acquire_refuses_is_replaced() -> Result {
    static MODE: AtomicU32 = AtomicU32::new(0);
    let database = Database::new()?;
    let builder = database.builder(short(1)).before_acquire(|_, times| {
        assert!(times.age >= times.idle_for);
        answer(MODE.load(Relaxed))
    });
    let pool = builder.build()?;
    let first = number(&pool).await?;
    assert_eq!(number(&pool).await?, first, "a hook that agrees");
    let mut last = first;
    for mode in 1..=3 {
        MODE.store(mode, Relaxed);
        let next = number(&pool).await?;
        assert!(next > last, "a hook of mode {mode}");
        last = next;
    }
    // A caller leaves while the hook runs.
    MODE.store(3, Relaxed);
    assert!(timeout(20 * MS, pool.acquire()).await.is_err());
    MODE.store(0, Relaxed);
    whole(&pool).await
}

#[tokio::test]
async fn a_connection_that_the_hook_after_a_release_refuses_is_closed() -> Result {
    static MODE: AtomicU32 = AtomicU32::new(0);
    let database = Database::new()?;
    let pool = database.builder(short(1)).after_release(|_, _| answer(MODE.load(Relaxed))).build()?;
    let first = number(&pool).await?;
    assert_eq!(number(&pool).await?, first);
    let mut last = first;
    for mode in 1..=3 {
        MODE.store(mode, Relaxed);
        number(&pool).await?;
        MODE.store(0, Relaxed);
        let next = number(&pool).await?;
        // The hook may have been called after the mode was changed back, but then for a later connection.
        settled(&pool, [0, 1, 0, 0, 0]).await;
        last = last.max(next);
    }
    assert!(last > first);
    whole(&pool).await
}

#[tokio::test]
async fn a_hook_before_a_connect_may_change_where_it_leads() -> Result {
    static AWAY: AtomicBool = AtomicBool::new(true);
    let database = Database::new()?;
    let other = database.folder.path().join("other.db");
    let builder = database.builder(PoolConfig { connect_timeout: 100 * MS, ..config(1, 0) });
    let pool = builder
        .before_connect(move |options| {
            let options = options.filename(&other);
            Box::pin(async move {
                match AWAY.load(Relaxed) {
                    true => Err(sqlx::Error::WorkerCrashed),
                    false => Ok(options),
                }
            })
        })
        .build()?;
    assert!(matches!(pool.acquire().await, Err(AcquireError::Connect(_))));
    AWAY.store(false, Relaxed);
    let mut lease = loop {
        match pool.acquire().await {
            Ok(lease) => break lease,
            Err(_) => sleep(10 * MS).await,
        }
    };
    let file: String = sqlx::query_scalar("SELECT file FROM pragma_database_list").fetch_one(&mut lease).await?;
    assert!(file.ends_with("other.db"), "{file}");
    Ok(())
}

#[tokio::test]
async fn a_hook_before_a_connect_that_hangs_costs_no_slot() -> Result {
    static HANGS: AtomicBool = AtomicBool::new(true);
    let database = Database::new()?;
    let builder = database.builder(PoolConfig { connect_timeout: 50 * MS, ..config(2, 0) });
    let pool = builder
        .before_connect(|options| {
            Box::pin(async move {
                if HANGS.load(Relaxed) {
                    std::future::pending::<()>().await;
                }
                Ok(options)
            })
        })
        .build()?;
    assert!(matches!(pool.acquire().await, Err(AcquireError::ConnectTimeout { .. })));
    HANGS.store(false, Relaxed);
    while pool.acquire().await.is_err() {
        sleep(10 * MS).await;
    }
    whole(&pool).await
}
