//! Many callers, and callers that leave.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::*;

/// 1,000 callers on 5 connections for a minute: each is served in turn, or gets an error.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute; `cargo xtask test` runs it beside the other tests"]
async fn a_thousand_callers_take_turns_for_a_minute() -> Result {
    const CALLERS: usize = 1000;
    const CONNECTIONS: u32 = 5;
    let pool = pool(&SERVER, "crowd", config(CONNECTIONS, 0))?;
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        held.push(pool.acquire().await?);
    }
    let end = Instant::now() + 60_000 * MS;
    let callers = (0..CALLERS).map(|_| tokio::spawn(take_turns(pool.clone(), end)));
    let callers = callers.collect::<Vec<_>>();
    // All start at the same time.
    while pool.counts().waiting < CALLERS as u32 {
        sleep(MS).await;
    }
    drop(held);

    let mut watch = sqlx::PgConnection::connect(&SERVER.url("postgres")).await?;
    let mut samples = 0;
    while Instant::now() < end {
        let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'crowd'")
            .fetch_one(&mut watch)
            .await?;
        let counts = pool.counts();
        assert!(seen <= CONNECTIONS.into() && counts.open() <= CONNECTIONS, "{seen} on the server, {counts:?}");
        samples += 1;
        sleep(20 * MS).await;
    }
    let (mut served, mut diagnosed) = (Vec::new(), 0);
    for caller in callers {
        let (turns, timeouts) = caller.await??;
        served.push(turns);
        diagnosed += timeouts;
    }
    served.sort_unstable();
    // All but one in a hundred: the system may suspend a thread, and delay the caller whose turn it is.
    let (fewest, most) = (served[CALLERS / 100], served[CALLERS - 1 - CALLERS / 100]);
    let total = served.iter().sum::<u32>();
    println!("{total} turns, {fewest} to {most} each, {diagnosed} told why not; {samples} looks at the server");
    assert!(fewest > 0 && most <= fewest + 2, "{fewest} to {most} turns each");
    assert_eq!(pool.counts().waiting, 0);
    whole(&pool).await
}

/// How often one caller was served, and how often it got an error.
async fn take_turns(pool: Pool<Postgres>, end: Instant) -> std::result::Result<(u32, u32), String> {
    let (mut served, mut diagnosed) = (0, 0);
    while Instant::now() < end {
        match pool.acquire().await {
            Ok(mut lease) => {
                lease.execute("SELECT pg_sleep(0.01)").await.map_err(|error| error.to_string())?;
                served += 1;
            }
            Err(AcquireError::Timeout(diagnosis)) if diagnosis.checked_out + diagnosis.closing == 5 => diagnosed += 1,
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok((served, diagnosed))
}

/// A cold pool and 200 callers that leave after 0 to 20 ms: their connects continue and serve later callers.
#[tokio::test]
async fn callers_who_give_up_warm_the_pool() -> Result {
    let pool = pool(&SERVER, "impatient", config(5, 5))?;
    let callers = (0..200).map(|n| {
        let pool = pool.clone();
        tokio::spawn(async move { timeout(n % 20 * MS, pool.acquire()).await.is_ok_and(|lease| lease.is_ok()) })
    });
    let mut first = 0;
    for caller in callers.collect::<Vec<_>>() {
        first += u32::from(caller.await?);
    }
    let deadline = Instant::now() + 5000 * MS;
    while pool.counts().connecting > 0 {
        assert!(Instant::now() < deadline, "{:?}", pool.counts());
        sleep(MS).await;
    }
    assert!(pool.counts().idle > 0, "{:?}", pool.counts());
    let mut later = 0;
    for n in 0..200 {
        later += u32::from(timeout(n % 20 * MS, pool.acquire()).await.is_ok_and(|lease| lease.is_ok()));
    }
    println!("served: {first} of 200 on the cold pool, {later} of 200 later");
    assert_eq!(later, 200);
    whole(&pool).await
}

/// A future that is dropped after its first poll, its second and so on: no connection is lost.
#[tokio::test]
async fn acquire_may_be_dropped_at_every_await() -> Result {
    let pinged = PoolConfig { pre_ping_idle: Duration::ZERO, ..config(1, 0) };
    let cold = pool(&SERVER, "dropped", pinged)?;
    for polls in 1.. {
        cold.dispose();
        if (Polled { inner: Box::pin(cold.acquire()), left: polls }).await.is_some() {
            break;
        }
    }
    whole(&cold).await?;
    let mut dropped = 0;
    for polls in 1.. {
        if (Polled { inner: Box::pin(cold.acquire()), left: polls }).await.is_some() {
            break;
        }
        dropped += 1;
        whole(&cold).await?;
    }
    assert!(dropped > 0, "the ping is an await");

    for polls in 1.. {
        let mut held = cold.acquire().await?;
        let waiting = tokio::spawn(Polled { inner: Box::pin(cold.acquire()), left: polls });
        held.execute("SELECT pg_sleep(0.005)").await?;
        drop(held);
        let served = waiting.await?.is_some();
        whole(&cold).await?;
        if served {
            break;
        }
    }
    assert_eq!(cold.counts().waiting, 0);
    Ok(())
}

/// Drops the future after this many polls.
struct Polled<F> {
    inner: Pin<Box<F>>,
    left: u32,
}

impl<F: Future> Future for Polled<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.inner.as_mut().poll(context).map(Some);
        self.left -= 1;
        if polled.is_pending() && self.left == 0 { Poll::Ready(None) } else { polled }
    }
}
