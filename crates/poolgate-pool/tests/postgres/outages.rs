//! Servers that are down, full or silent.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_killed_is_found_again() -> Result {
    let mut server = Server::start()?;
    let pool = pool(&server, "restart", PoolConfig { acquire_timeout: 1000 * MS, ..config(3, 1) })?;
    whole(&pool).await?;
    let mut held = pool.acquire().await?;
    assert_eq!(pool.counts().idle, 2);

    server.kill()?;
    // A process of the server may need a moment to notice.
    while held.execute("SELECT 1").await.is_ok() {
        sleep(MS).await;
    }
    drop(held);
    // The server's processes end one by one; each dead connection is found once.
    let error = loop {
        match pool.acquire().await {
            Ok(mut lease) => drop(lease.execute("SELECT 1").await),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, AcquireError::Connect(_)), "{error}");
    assert!(pool.connect_history().failed.is_some() && pool.connect_history().consecutive_failures > 0);
    let started = Instant::now();
    for _ in 0..1000 {
        assert!(pool.acquire().await.is_err());
    }
    assert!(started.elapsed() < 5000 * MS, "refused at once while it is away");
    let attempts = pool.connect_history().consecutive_failures;
    assert!(attempts < 20, "{attempts} attempts");

    server.start_again()?;
    found_again(&pool, LONGEST_PAUSE + SLACK).await?;
    assert_eq!(pool.connect_history().consecutive_failures, 0);
    whole(&pool).await
}

#[tokio::test]
async fn an_unnoticed_restart_costs_no_caller_an_error() -> Result {
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
    // All users here are superusers and may use the reserved slots too: five in total.
    let holder = pool(&server, "holder", config(4, 0))?;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(holder.acquire().await?);
    }
    let pool = pool(&server, "full", PoolConfig { acquire_timeout: 2000 * MS, ..config(2, 0) })?;
    // The process of the check that the server is up may still be ending.
    found_again(&pool, LONGEST_PAUSE_FULL + SLACK).await?;
    let last = pool.acquire().await?;
    let error = pool.acquire().await.unwrap_err();
    let AcquireError::Timeout(diagnosis) = error else { panic!("{error}") };
    let reason = diagnosis.connect_error.ok_or("no reason")?;
    assert!(reason.contains("no free connection slot"), "{reason}");
    assert!(
        matches!(pool.connect_history().failure, Some(AcquireError::ServerFull(_))),
        "a full server is not a dead one"
    );
    // The pauses are at least half of 1 and 2 s.
    assert!(
        (1..=3).contains(&pool.connect_history().consecutive_failures),
        "asked rarely: {:?}",
        pool.connect_history()
    );

    drop(last);
    pool.drain(1000 * MS).await;
    let other = self::pool(&server, "other", config(1, 0))?;
    // The server may still count a process that is ending.
    let fifth = self::pool(&server, "holder", config(1, 0))?;
    found_again(&fifth, LONGEST_PAUSE_FULL + SLACK).await?;
    held.push(fifth.acquire().await?);
    drop(fifth);
    let error = other.acquire().await.unwrap_err();
    assert!(matches!(error, AcquireError::ServerFull(_)), "{error}");
    drop(held);
    found_again(&other, LONGEST_PAUSE_FULL + SLACK).await?;
    whole(&other).await
}

/// When a connect finds the server full, both the pool and dedicated connects pause.
#[tokio::test]
async fn a_full_server_is_not_hammered() -> Result {
    let server = Server::start_with_max_connections(5)?;
    let holder = pool(&server, "holder", config(5, 0))?;
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(holder.acquire().await?);
    }
    for apart in [false, true] {
        let pool = pool(&server, "full", config(3, 0))?;
        let (before, began) = (refusals(&server), Instant::now());
        if apart {
            let error = pool.dedicated_connection(5000 * MS).await.unwrap_err();
            assert!(matches!(error, AcquireError::ServerFull(_)), "{error}");
        }
        let mut refused = 0;
        while began.elapsed() < 1200 * MS {
            let error = pool.acquire().await.unwrap_err();
            assert!(matches!(error, AcquireError::ServerFull(_)), "{error}");
            refused += 1;
            sleep(MS).await;
        }
        // The pauses are at least half of 1, 2, 4 and 5 s.
        let allowed = 1 + [500, 1500, 3500, 6000].iter().filter(|at| began.elapsed() >= **at * MS).count();
        let attempts = refusals(&server) - before;
        println!("{refused} callers were refused, {attempts} attempts reached the server");
        assert!((1..=allowed).contains(&attempts) && refused > allowed, "{attempts} attempts, {refused} callers");
    }
    Ok(())
}

/// The number of refused connects in the server's log.
fn refusals(server: &Server) -> usize {
    server.log().matches("sorry, too many clients already").count()
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_on_and_found_again() -> Result {
    let proxy = Proxy::to(SERVER.port()).await?;
    proxy.silence();
    let limits = PoolConfig { connect_timeout: 100 * MS, ..config(2, 0) };
    let pool = Pool::<Postgres>::builder(proxy.url("postgres").parse()?).config(limits.clone()).build()?;
    let started = Instant::now();
    let error = pool.acquire().await.unwrap_err();
    assert!(matches!(error, AcquireError::ConnectTimeout { .. }), "{error}");
    assert!(started.elapsed() < limits.connect_timeout + SLACK);
    assert_eq!(pool.counts().open(), 0);
    proxy.restore();
    found_again(&pool, limits.connect_timeout + LONGEST_PAUSE + SLACK).await?;
    whole(&pool).await
}

#[tokio::test]
async fn sessions_that_an_administrator_ends_cost_one_query_each_at_most() -> Result {
    let pool = pool(&SERVER, "terminated", config(4, 0))?;
    whole(&pool).await?;
    let mut held = pool.acquire().await?;
    let ended = on_server(&SERVER, "terminated", "count(pg_terminate_backend(pid))")?;
    assert_eq!(ended, "4");
    assert!(held.execute("SELECT 1").await.is_err(), "this query is lost");
    drop(held);
    // One has failed, so the others are pinged before they are handed out.
    for _ in 0..20 {
        assert!(is_fresh(&mut pool.acquire().await?).await?);
    }
    whole(&pool).await
}

#[tokio::test]
async fn connect_options_can_lead_to_another_server() -> Result {
    let (mut old, new) = (Server::start()?, Server::start()?);
    let pool = pool(&old, "moved", PoolConfig { acquire_timeout: 1000 * MS, ..config(3, 1) })?;
    whole(&pool).await?;
    let mut held = pool.acquire().await?;
    let served_by = async |lease: &mut Lease<Postgres>| -> Result<u16> {
        let port: String = sqlx::query_scalar("SELECT current_setting('port')").fetch_one(lease).await?;
        Ok(port.parse()?)
    };

    let address: PgConnectOptions = new.url("postgres").parse()?;
    assert_eq!(pool.set_connect_options(address.clone().application_name("moved")), 2, "idle ones are closed");
    assert_eq!(served_by(&mut pool.acquire().await?).await?, new.port());
    assert_eq!(served_by(&mut held).await?, old.port(), "what is in use is left in peace");
    drop(held);
    whole(&pool).await?;
    let deadline = Instant::now() + 5000 * MS;
    while (on_server(&new, "moved", "count(*)")?.as_str(), on_server(&old, "moved", "count(*)")?.as_str()) != ("3", "0")
    {
        assert!(Instant::now() < deadline, "{:?}", pool.counts());
        sleep(5 * MS).await;
    }

    // And back from a server that has died, while callers wait.
    let before = pool.connect_history().consecutive_failures;
    assert_eq!(before, 0);
    old.kill()?;
    pool.set_connect_options(old.url("postgres").parse()?);
    assert!(matches!(pool.acquire().await, Err(AcquireError::Connect(_))));
    pool.set_connect_options(address);
    found_again(&pool, SLACK).await?;
    assert_eq!(served_by(&mut pool.acquire().await?).await?, new.port());
    whole(&pool).await
}

/// A caller waits while a connect hangs; it is served as soon as the pool has another address.
#[tokio::test]
async fn new_options_do_not_wait_for_the_old_server() -> Result {
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("postgres://postgres@{}/postgres", silent.local_addr()?);
    // The caller leaves before the connect times out.
    let limits = PoolConfig { acquire_timeout: 20_000 * MS, connect_timeout: 60_000 * MS, ..config(2, 0) };
    let pool = Pool::<Postgres>::builder(url.parse()?).config(limits).build()?;
    let caller = tokio::spawn(pool.acquire());
    while pool.counts().connecting == 0 {
        sleep(MS).await;
    }
    pool.set_connect_options(SERVER.url("postgres").parse()?);
    assert!(is_fresh(&mut caller.await??).await?);
    whole(&pool).await
}
