//! How soon our pool works again after a fault, for a caller that keeps asking.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use poolgate_pool::{Pool, PoolConfig};
use poolgate_test_postgres::{Postgres, Proxy};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Executor, PgConnection};
use tokio::task::block_in_place;
use tokio::time::{sleep, timeout};

use crate::table;

const ROUNDS: u32 = 9;
const CONNECTIONS: u32 = 3;
/// How long a server that is killed, full or silent is so at least: until the pauses between attempts are longest.
const AWAY: Duration = Duration::from_secs(3);
const FULL: Duration = Duration::from_secs(8);
/// How long a holder of a connection waits for an answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two questions of one who was refused.
const PAUSE: Duration = Duration::from_millis(5);

type PgPool = Pool<sqlx::Postgres>;

pub(crate) async fn measure(server: &Postgres) -> Result<()> {
    let (port, url) = (server.port(), server.url("postgres"));
    // All at the same time: most of it is waiting.
    let faults = [
        ("killed and started again", "1 s and a connect", tokio::spawn(killed())),
        ("unnoticed restart", "a ping and a connect", tokio::spawn(restarted())),
        ("sessions ended by an administrator", "a ping and a connect", tokio::spawn(terminated(url.clone()))),
        ("server full", "5 s and a connect", tokio::spawn(full())),
        ("network silent, connections in use", "`connect_timeout`, 1 s and a connect", tokio::spawn(silent(port))),
        ("connect hangs", "`connect_timeout`, 1 s and a connect", tokio::spawn(hung(port))),
        ("failover, the old server silent", "a connect", tokio::spawn(failover(port, url))),
    ];
    let mut rows = Vec::new();
    for (fault, stated, measured) in faults {
        let mut times = measured.await??;
        times.sort_unstable();
        let millis = |time: Duration| format!("{:.0}", time.as_secs_f64() * 1000.0);
        let (shortest, median, longest) = (times[0], times[times.len() / 2], times[times.len() - 1]);
        let range = format!("{} to {}", millis(shortest), millis(longest));
        rows.push(vec![fault.to_owned(), stated.to_owned(), millis(median), range]);
    }
    let connect_timeout = PoolConfig::default().connect_timeout.as_secs();
    let heading = format!("Recovery, {ROUNDS} times each; `connect_timeout` is {connect_timeout} s");
    table::print(&heading, &["fault", "at the latest after", "median, ms", "range, ms"], &rows);
    Ok(())
}

fn pool(url: &str) -> Result<PgPool> {
    let limits = PoolConfig {
        size: CONNECTIONS,
        max_overflow: 0,
        acquire_timeout: Duration::from_secs(1),
        // Each round uses them up at once.
        connect_rate: 1000,
        ..PoolConfig::default()
    };
    Ok(Pool::builder(url.parse()?).config(limits).build()?)
}

/// All connections in use at the same time, and given back.
async fn warm(pool: &PgPool) -> Result<()> {
    let mut leases = Vec::new();
    for _ in 0..CONNECTIONS {
        leases.push(pool.acquire().await?);
    }
    Ok(())
}

/// When a caller that keeps asking is served.
async fn served(pool: PgPool) -> Instant {
    loop {
        if let Ok(mut lease) = pool.acquire().await
            && timeout(PATIENCE, lease.execute("SELECT 1")).await.is_ok_and(|answer| answer.is_ok())
        {
            return Instant::now();
        }
        sleep(PAUSE).await;
    }
}

/// Rounds end at different moments of the pauses and of the connects that give up.
fn spread(round: u32) -> Duration {
    Duration::from_millis(620) * round
}

async fn killed() -> Result<Vec<Duration>> {
    let mut server = block_in_place(Postgres::start)?;
    let pool = pool(&server.url("postgres"))?;
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        warm(&pool).await?;
        block_in_place(|| server.kill())?;
        // Its processes end one by one.
        while let Ok(mut lease) = pool.acquire().await {
            let _ = lease.execute("SELECT 1").await;
            lease.discard();
        }
        let asking = tokio::spawn(served(pool.clone()));
        sleep(AWAY + spread(round)).await;
        block_in_place(|| server.start_again())?;
        let back = Instant::now();
        times.push(asking.await?.saturating_duration_since(back));
    }
    Ok(times)
}

async fn restarted() -> Result<Vec<Duration>> {
    let mut server = block_in_place(Postgres::start)?;
    let pool = pool(&server.url("postgres"))?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        warm(&pool).await?;
        block_in_place(|| server.stop())?;
        block_in_place(|| server.start_again())?;
        // Idle for so long that they are pinged.
        sleep(pool.config().pre_ping_idle).await;
        let asked = Instant::now();
        pool.acquire().await?.execute("SELECT 1").await?;
        times.push(asked.elapsed());
    }
    Ok(times)
}

async fn terminated(url: String) -> Result<Vec<Duration>> {
    let pool = pool(&format!("{url}?application_name=terminated"))?;
    let mut administrator = PgConnection::connect(&url).await?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        warm(&pool).await?;
        let mut held = pool.acquire().await?;
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'terminated'";
        administrator.execute(end).await?;
        ensure!(held.execute("SELECT 1").await.is_err(), "it was not ended");
        drop(held);
        let ended = Instant::now();
        times.push(served(pool.clone()).await.saturating_duration_since(ended));
    }
    Ok(times)
}

async fn full() -> Result<Vec<Duration>> {
    const SLOTS: u32 = 4;
    let server = block_in_place(|| Postgres::start_with_max_connections(SLOTS))?;
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let pool = pool(&server.url("postgres"))?;
        let mut others = Vec::new();
        while others.len() < SLOTS as usize {
            // The last round's may not have ended quite.
            match PgConnection::connect(&server.url("postgres")).await {
                Ok(other) => others.push(other),
                Err(_) => sleep(PAUSE).await,
            }
        }
        let asking = tokio::spawn(served(pool.clone()));
        sleep(FULL + spread(round)).await;
        for other in others {
            other.close().await?;
        }
        let back = Instant::now();
        times.push(asking.await?.saturating_duration_since(back));
        pool.drain(AWAY).await;
    }
    Ok(times)
}

async fn silent(port: u16) -> Result<Vec<Duration>> {
    let proxy = Proxy::to(port).await?;
    let pool = pool(&proxy.url("postgres"))?;
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        warm(&pool).await?;
        let mut lease = pool.acquire().await?;
        proxy.silence();
        let query = timeout(Duration::from_millis(50), lease.execute("SELECT 1")).await;
        ensure!(query.is_err(), "an answer got through");
        drop(lease);
        let asking = tokio::spawn(served(pool.clone()));
        sleep(AWAY + spread(round)).await;
        proxy.restore();
        let back = Instant::now();
        times.push(asking.await?.saturating_duration_since(back));
    }
    Ok(times)
}

async fn hung(port: u16) -> Result<Vec<Duration>> {
    let proxy = Proxy::to(port).await?;
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        proxy.silence();
        let pool = pool(&proxy.url("postgres"))?;
        let asking = tokio::spawn(served(pool.clone()));
        sleep(AWAY + spread(round)).await;
        proxy.restore();
        let back = Instant::now();
        times.push(asking.await?.saturating_duration_since(back));
    }
    Ok(times)
}

async fn failover(port: u16, new: String) -> Result<Vec<Duration>> {
    let new: PgConnectOptions = new.parse()?;
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let old = Proxy::to(port).await?;
        let pool = pool(&old.url("postgres"))?;
        warm(&pool).await?;
        old.silence();
        pool.dispose();
        let asking = tokio::spawn(served(pool.clone()));
        sleep(spread(round)).await;
        pool.set_connect_options(new.clone());
        let moved = Instant::now();
        times.push(asking.await?.saturating_duration_since(moved));
    }
    Ok(times)
}
