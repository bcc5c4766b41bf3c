//! Servers that are away, full or silent.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_killed_is_found_again() -> Result {
    let mut server = Server::start()?;
    let pool = pool(&server, "restart", PoolConfig { timeout: 1000 * MS, ..config(3, 1) })?;
    whole(&pool).await?;
    let mut held = pool.acquire().await?;
    assert_eq!(pool.counts().idle, 2);

    server.kill()?;
    assert!(held.execute("SELECT 1").await.is_err());
    drop(held);
    // The server's processes end one by one; each dead connection is found once.
    let error = loop {
        match pool.acquire().await {
            Ok(mut lease) => drop(lease.execute("SELECT 1").await),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, AcquireError::Connect(_)), "{error}");
    assert!(pool.contact().failed.is_some() && pool.contact().consecutive_failures > 0);
    let started = Instant::now();
    for _ in 0..1000 {
        assert!(pool.acquire().await.is_err());
    }
    assert!(started.elapsed() < 5000 * MS, "refused at once while it is away");
    let attempts = pool.contact().consecutive_failures;
    assert!(attempts < 20, "{attempts} attempts");

    server.start_again()?;
    let back = Instant::now();
    while pool.acquire().await.is_err() {
        assert!(back.elapsed() < 3000 * MS, "still away");
        sleep(10 * MS).await;
    }
    println!("found again {:?} after it was back", back.elapsed());
    assert_eq!(pool.contact().consecutive_failures, 0);
    whole(&pool).await
}

#[tokio::test]
async fn a_restart_that_nobody_noticed_costs_no_caller_an_error() -> Result {
    let mut server = Server::start()?;
    let pool = pool(&server, "nap", PoolConfig { pre_ping_idle: Duration::ZERO, ..config(3, 0) })?;
    whole(&pool).await?;
    server.stop()?;
    server.start_again()?;
    whole(&pool).await
}

#[tokio::test]
async fn a_full_server_is_named_as_such() -> Result {
    let server = Server::start_with_max_connections(5)?;
    // Superusers, as all users here, may use the reserved slots too: five in all.
    let holder = pool(&server, "holder", config(4, 0))?;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(holder.acquire().await?);
    }
    let pool = pool(&server, "full", PoolConfig { timeout: 300 * MS, ..config(2, 0) })?;
    let last = pool.acquire().await?;
    let error = pool.acquire().await.unwrap_err();
    let AcquireError::Timeout(diagnosis) = error else { panic!("{error}") };
    let reason = diagnosis.connect_error.ok_or("no reason")?;
    assert!(reason.contains("no free connection slot"), "{reason}");
    assert!(pool.contact().failed.is_none(), "a full server is not a dead one");
    let attempts = pool.contact().consecutive_failures;
    assert!((2..8).contains(&attempts), "{attempts} attempts in 300 ms");

    drop(last);
    pool.drain(1000 * MS).await;
    let other = self::pool(&server, "other", config(1, 0))?;
    held.push(self::pool(&server, "holder", config(1, 0))?.acquire().await?);
    let error = other.acquire().await.unwrap_err();
    assert!(matches!(error, AcquireError::ServerFull(_)), "{error}");
    drop(held);
    sleep(200 * MS).await;
    whole(&other).await
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_on() -> Result {
    // Connections are accepted by the system; nobody ever reads from them.
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("postgres://postgres@{}/postgres", silent.local_addr()?);
    let limits = PoolConfig { connect_timeout: 100 * MS, ..config(2, 0) };
    let pool = PoolgatePool::<Postgres>::builder(url.parse()?).config(limits).build()?;
    let started = Instant::now();
    let error = pool.acquire().await.unwrap_err();
    assert!(matches!(error, AcquireError::ConnectTimeout { .. }), "{error}");
    assert!(started.elapsed() < 1000 * MS);
    assert_eq!(pool.counts().open(), 0);
    Ok(())
}
