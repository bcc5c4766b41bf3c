//! Limits of number, time and age, and the errors that callers get.

use super::*;

#[tokio::test]
async fn a_timeout_says_who_holds_the_connections() -> Result {
    let database = Database::new()?;
    let pool = database.builder(PoolConfig { acquire_timeout: 50 * MS, ..config(1, 0) }).build()?;
    let held = pool.acquire().await?;
    let started = Instant::now();
    let Err(AcquireError::Timeout(diagnosis)) = pool.acquire().await else { panic!("there was a second connection") };
    assert!((50 * MS..1000 * MS).contains(&started.elapsed()));
    assert!(diagnosis.waited >= 50 * MS);
    assert_eq!((diagnosis.checked_out, diagnosis.capacity, diagnosis.waiting), (1, 1, 0));
    let (age, place) = diagnosis.oldest_lease.ok_or("no oldest lease")?;
    assert!(age >= diagnosis.waited);
    assert_eq!(place, held.location());
    assert!(diagnosis.to_string().contains(&format!("acquired at {}", held.location())));
    drop(held);
    whole(&pool).await
}

#[tokio::test]
async fn leases_and_errors_name_the_work() -> Result {
    let database = Database::new()?;
    let pool = database.builder(PoolConfig { acquire_timeout: 50 * MS, ..config(1, 0) }).build()?;
    let purpose = Purpose::new("GET /orders/{id}").with_trace_id("4bf92f3577b34da6a3ce929d0e0e4736");
    let held = purpose.clone().scope(async { pool.acquire().await }).await?;
    assert_eq!(pool.leases()[0].purpose.as_ref(), Some(&purpose));
    let error = pool.acquire().await.unwrap_err();
    assert!(error.to_string().contains("for GET /orders/{id}"), "{error}");
    // A waiting caller keeps its place in the queue.
    let waiter = tokio::spawn(Purpose::new("POST /orders").scope({
        let pool = pool.clone();
        async move { pool.acquire().await }
    }));
    settled(&pool, [1, 0, 0, 0, 1]).await;
    drop(held);
    let _served = waiter.await??;
    assert_eq!(pool.leases()[0].purpose.as_ref().map(Purpose::route), Some("POST /orders"));
    Ok(())
}

#[tokio::test]
async fn callers_who_give_up_leave_a_warm_pool() -> Result {
    let database = Database::new()?;
    let opened = Arc::new(AtomicU32::new(0));
    let pool = database
        .builder(config(5, 10))
        .after_connect({
            let opened = Arc::clone(&opened);
            move |_| {
                opened.fetch_add(1, Relaxed);
                Box::pin(async {
                    sleep(300 * MS).await;
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
    settled(&pool, [0, 4, 0, 0, 0]).await;
    assert_eq!(opened.load(Relaxed), 4, "no more than a pool begins with were begun for them");
    let later = timeout(100 * MS, pool.acquire()).await??;
    drop(later);
    whole(&pool).await
}

#[tokio::test]
async fn failures_to_connect_are_told_apart() -> Result {
    let nowhere = sqlite_options("/nonexistent/folder/test.db");
    let pool = Pool::<Sqlite>::builder(nowhere).build()?;
    let error = pool.acquire().await.unwrap_err();
    assert!(matches!(error, AcquireError::Connect(_)) && error.source().is_some(), "{error}");
    assert!(pool.connect_history().failed.is_some() && pool.connect_history().answered.is_none());
    assert_eq!(pool.connect_history().consecutive_failures, 1);
    let started = Instant::now();
    assert!(pool.acquire().await.is_err());
    assert!(started.elapsed() < 25 * MS, "within the pause the answer is there at once");
    assert_eq!(pool.connect_history().consecutive_failures, 1, "and the database is not asked");
    sleep(60 * MS).await;
    assert!(pool.acquire().await.is_err());
    assert_eq!(pool.connect_history().consecutive_failures, 2);

    let database = Database::new()?;
    let pool = database
        .builder(PoolConfig { connect_timeout: 20 * MS, ..config(1, 0) })
        .after_connect(|_| Box::pin(std::future::pending()))
        .build()?;
    let error = pool.acquire().await.unwrap_err();
    assert!(matches!(error, AcquireError::ConnectTimeout { .. }), "{error}");

    let pool = database
        .builder(config(1, 0))
        .after_connect(|connection| Box::pin(async { connection.execute("nonsense").await.map(drop) }))
        .build()?;
    let error = pool.acquire().await.unwrap_err();
    assert!(error.to_string().contains("nonsense"), "{error}");
    assert_eq!(pool.counts().open(), 0);
    Ok(())
}

/// The first connections to a new file compete to switch it to the write-ahead log; see also the stress test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_file_can_be_opened_by_many_at_once() -> Result {
    for _ in 0..20 {
        let database = Database::new()?;
        let limits = PoolConfig { max_connecting: 8, ..config(8, 0) };
        let pool = database.builder(limits).build()?;
        let callers = [(); 8].map(|()| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.acquire().await })
        });
        for caller in callers {
            caller.await??;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_dedicated_connection_works_when_the_pool_is_exhausted() -> Result {
    let database = Database::new()?;
    let pool = database.pool(1, 0)?;
    let held = pool.acquire().await?;
    let mut apart = pool.dedicated_connection(1000 * MS).await?;
    apart.ping().await?;
    apart.close().await?;
    assert_eq!(figures(pool.counts()), [1, 0, 0, 0, 0]);
    assert!(pool.connect_history().answered.is_some());
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
    assert_eq!((early.leases_left, early.waiting_refused, early.idle_closed), (3, 1, 0));
    assert!(matches!(pool.acquire().await, Err(AcquireError::Closed)));
    drop((b, c));
    let late = pool.drain(5000 * MS).await;
    assert_eq!((late.leases_left, late.connections_left), (0, 0));
    let mut results = Vec::new();
    for waiter in waiters {
        results.push(waiter.await?.is_ok());
    }
    results.sort_unstable();
    assert_eq!(results, [false, true], "one was served and left in peace, one was told");
    Ok(())
}

#[tokio::test]
async fn a_pool_is_warm_before_the_first_acquire_and_after_every_loss() -> Result {
    let database = Database::new()?;
    let pool = database.builder(PoolConfig { min_idle: u32::MAX, ..config(3, 2) }).build()?;
    settled(&pool, [0, 3, 0, 0, 0]).await;
    assert_eq!(pool.counts().lacking, 0);
    assert_eq!((pool.close_surplus_idle(), pool.dispose()), (0, 3));
    settled(&pool, [0, 3, 0, 0, 0]).await;
    assert_eq!(pool.counts().generation, 1);
    pool.resize(5, 0)?;
    settled(&pool, [0, 5, 0, 0, 0]).await;
    let mut lease = pool.acquire().await?;
    lease.discard();
    drop(lease);
    settled(&pool, [0, 5, 0, 0, 0]).await;
    Ok(())
}

#[test]
fn without_a_runtime_a_pool_becomes_warm_when_someone_asks() -> Result {
    let database = Database::new()?;
    let pool = database.builder(PoolConfig { min_idle: 1, ..config(3, 0) }).build()?;
    assert_eq!(pool.counts().open(), 0);
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let lease = pool.acquire().await?;
        settled(&pool, [1, 1, 0, 0, 0]).await;
        drop(lease);
        Ok(())
    })
}

#[tokio::test]
async fn idle_connections_can_be_given_up_and_sizes_changed() -> Result {
    let database = Database::new()?;
    let pool = database.builder(config(3, 0)).build()?;
    whole(&pool).await?;
    assert_eq!(figures(pool.counts()), [0, 3, 0, 0, 0]);
    assert_eq!(pool.close_surplus_idle(), 1);
    settled(&pool, [0, 2, 0, 0, 0]).await;

    let held = [pool.acquire().await?, pool.acquire().await?, pool.acquire().await?];
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
    let pool = database.builder(PoolConfig { max_lifetime: Some(40 * MS), ..config(1, 0) }).build()?;
    drop(pool.acquire().await?);
    let first = connection_number(&pool).await?;
    assert_eq!(connection_number(&pool).await?, first);
    sleep(41 * MS).await;
    assert!(connection_number(&pool).await? > first);
    whole(&pool).await
}

/// Also idle connections, and under a load that leaves none idle.
#[tokio::test]
async fn old_connections_are_closed_whether_they_are_used_or_not() -> Result {
    let database = Database::new()?;
    let pool = database.builder(PoolConfig { max_lifetime: Some(40 * MS), ..config(2, 0) }).build()?;
    let held = pool.acquire().await?;
    drop(pool.acquire().await?);
    drop(held);
    let deadline = Instant::now() + 30_000 * MS;
    while pool.counts().open() > 0 {
        assert!(Instant::now() < deadline, "{:?}", pool.counts());
        sleep(20 * MS).await;
    }

    let first = connection_number(&pool).await?;
    let started = Instant::now();
    let users = (0..8).map(|_| {
        let pool = pool.clone();
        tokio::spawn(async move {
            while started.elapsed() < 500 * MS {
                one(&mut pool.acquire().await.expect("a connection")).await.expect("an answer");
            }
        })
    });
    for user in users.collect::<Vec<_>>() {
        user.await?;
    }
    let opened = connection_number(&pool).await? - first;
    assert!(opened > 2, "{opened}");
    Ok(())
}

/// Each task holds a connection and acquires a second: none can continue, and the error says so.
#[tokio::test]
async fn a_timeout_says_that_the_holders_wait_themselves() -> Result {
    let database = Database::new()?;
    let pool = database.builder(PoolConfig { acquire_timeout: 300 * MS, ..config(5, 0) }).build()?;
    let all = Arc::new(tokio::sync::Barrier::new(5));
    let tasks = (0..5).map(|_| {
        let (pool, all) = (pool.clone(), Arc::clone(&all));
        tokio::spawn(async move {
            let _held = pool.acquire().await.expect("the first");
            all.wait().await;
            let error = pool.acquire().await.err();
            all.wait().await;
            error
        })
    });
    let mut most = 0;
    for task in tasks.collect::<Vec<_>>() {
        let Some(AcquireError::Timeout(diagnosis)) = task.await? else { return Err("no timeout".into()) };
        assert!(diagnosis.to_string().contains("of the holders wait for another connection themselves"), "{diagnosis}");
        most = most.max(diagnosis.holders_waiting);
    }
    assert_eq!(most, 5);

    // Other waiting callers are not holders.
    let held = (pool.acquire().await?, pool.acquire().await?, pool.acquire().await?, pool.acquire().await?);
    let fifth = pool.acquire().await?;
    let waiting = tokio::spawn(pool.acquire()).await?;
    let Err(AcquireError::Timeout(diagnosis)) = waiting else { return Err("no timeout".into()) };
    assert_eq!(diagnosis.holders_waiting, 0, "{diagnosis}");
    drop((held, fifth));
    Ok(())
}

async fn connection_number(pool: &Pool<Sqlite>) -> Result<u64> {
    let _lease = pool.acquire().await?;
    Ok(pool.leases()[0].connection)
}
