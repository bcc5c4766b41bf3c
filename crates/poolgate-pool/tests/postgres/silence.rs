//! A peer that goes silent: no answer, no error, no end.

use super::*;

/// Every slot is freed, every caller gets an error in time, and the pool works as soon as the network does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_peer_costs_time_and_no_slot() -> Result {
    let proxy = Proxy::to(SERVER.port()).await?;
    let limits = PoolConfig {
        acquire_timeout: 1000 * MS,
        connect_timeout: 300 * MS,
        verify_timeout: 200 * MS,
        close_timeout: 200 * MS,
        ..config(3, 2)
    };
    let pool = Pool::<Postgres>::builder(proxy.url("postgres").parse()?).config(limits.clone()).build()?;
    whole(&pool).await?;
    let mut leases = Vec::new();
    for _ in 0..5 {
        leases.push(pool.acquire().await?);
    }

    proxy.silence();
    for lease in &mut leases {
        assert!(timeout(20 * MS, lease.execute("SELECT 1")).await.is_err(), "no answer");
    }
    // Returned in the middle of a query: the check gets no answer either.
    drop(leases);
    gone(&pool).await;
    let callers = (0..50).map(|_| tokio::spawn(pool.acquire())).collect::<Vec<_>>();
    let asked = Instant::now();
    for caller in callers {
        let error = caller.await?.expect_err("nothing gets through");
        assert!(matches!(error, AcquireError::ConnectTimeout { .. } | AcquireError::Timeout(_)), "{error}");
    }
    assert!(asked.elapsed() < limits.acquire_timeout + SLACK, "told after {:?}", asked.elapsed());

    proxy.restore();
    // A connect that was cut must time out first.
    found_again(&pool, limits.connect_timeout + LONGEST_PAUSE + SLACK).await?;
    whole(&pool).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_to_a_silent_peer_are_found_by_a_ping() -> Result {
    let proxy = Proxy::to(SERVER.port()).await?;
    let limits = PoolConfig {
        pre_ping_idle: Duration::ZERO,
        connect_timeout: 500 * MS,
        verify_timeout: 200 * MS,
        close_timeout: 200 * MS,
        ..config(4, 0)
    };
    let pool = Pool::<Postgres>::builder(proxy.url("postgres").parse()?).config(limits.clone()).build()?;
    whole(&pool).await?;
    proxy.silence();
    let asked = Instant::now();
    let error = pool.acquire().await.expect_err("nothing gets through");
    assert!(matches!(error, AcquireError::ConnectTimeout { .. }), "{error}");
    let told = limits.verify_timeout + limits.connect_timeout + SLACK;
    assert!(asked.elapsed() < told, "one ping and one connect: the other idle ones are not asked one by one");
    gone(&pool).await;
    proxy.restore();
    found_again(&pool, limits.connect_timeout + LONGEST_PAUSE + SLACK).await?;
    whole(&pool).await
}

/// What the caller of `lose` knows: the session waits for its client, which waits for its answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_on_a_connection_that_is_lost_can_be_ended() -> Result {
    let proxy = Proxy::to(SERVER.port()).await?;
    let pool = Pool::<Postgres>::builder(proxy.url("postgres").parse()?).config(config(1, 0)).build()?;
    let mut lease = pool.acquire().await?;
    lease.execute("SELECT 1").await?;
    assert_eq!(pool.leases()[0].waits, None, "it has its answer");
    proxy.silence();
    let waiting = tokio::spawn(async move { lease.execute("SELECT 1").await.map(drop) });
    let deadline = Instant::now() + 5000 * MS;
    while pool.leases()[0].waits.is_none_or(|waits| waits < 100 * MS) {
        assert!(Instant::now() < deadline, "{:?}", pool.leases());
        sleep(5 * MS).await;
    }
    proxy.restore();
    assert!(pool.lose(pool.leases()[0].id));
    let error = waiting.await?.expect_err("no answer came");
    assert!(Lost::caused(&error), "{error}");
    whole(&pool).await
}

/// Waits until no slot is taken by a cut connection.
async fn gone(pool: &Pool<Postgres>) {
    let deadline = Instant::now() + 5000 * MS;
    while pool.counts().open() > 0 {
        assert!(Instant::now() < deadline, "{:?}", pool.counts());
        sleep(5 * MS).await;
    }
}
