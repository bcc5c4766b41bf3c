//! A network that forgets its connections while they are in use, and works again a moment later: how many places of the
//! pool can be had afterwards?

use std::time::{Duration, Instant};

use anyhow::Result;
use poolgate_pool::{Pool, PoolConfig};
use poolgate_test_postgres::{Postgres, Proxy};
use sqlx::postgres::PgPoolOptions;
use tokio::time::{sleep, timeout};

use crate::table;

const PLACES: u32 = 5;
/// How long after the network was restored the places are counted.
const LATER: [u64; 3] = [1, 10, 30];
/// How long a caller waits when they are counted.
const PATIENCE: Duration = Duration::from_millis(500);

pub(crate) async fn measure(server: &Postgres) -> Result<()> {
    let (ours, theirs) = tokio::try_join!(ours(server), theirs(server))?;
    let row = |name: &str, places: Vec<usize>| {
        let figures = places.into_iter().map(|places| format!("{places} of {PLACES}"));
        std::iter::once(name.to_owned()).chain(figures).collect()
    };
    let after = LATER.map(|seconds| format!("places after {seconds} s"));
    let columns = std::iter::once("").chain(after.iter().map(String::as_str)).collect::<Vec<_>>();
    let heading = "The network goes silent under 5 connections in use, they are given back, the network works again";
    table::print(heading, &columns, &[row("poolgate", ours), row("sqlx::Pool", theirs)]);
    Ok(())
}

async fn ours(server: &Postgres) -> Result<Vec<usize>> {
    let proxy = Proxy::to(server.port()).await?;
    let limits = PoolConfig { size: PLACES, max_overflow: 0, ..PoolConfig::default() };
    let pool = Pool::<sqlx::Postgres>::builder(proxy.url("postgres").parse()?).config(limits).build()?;
    let mut leases = Vec::new();
    for _ in 0..PLACES {
        leases.push(pool.acquire().await?);
    }
    proxy.silence();
    for lease in &mut leases {
        // A request that is given up.
        let _ = timeout(Duration::from_millis(20), sqlx::query("SELECT 1").execute(lease)).await;
    }
    drop(leases);
    proxy.restore();
    places(async || timeout(PATIENCE, pool.acquire()).await.ok()?.ok()).await
}

async fn theirs(server: &Postgres) -> Result<Vec<usize>> {
    let proxy = Proxy::to(server.port()).await?;
    let pool = PgPoolOptions::new().max_connections(PLACES).connect_lazy(&proxy.url("postgres"))?;
    let mut connections = Vec::new();
    for _ in 0..PLACES {
        connections.push(pool.acquire().await?);
    }
    proxy.silence();
    for connection in &mut connections {
        let _ = timeout(Duration::from_millis(20), sqlx::query("SELECT 1").execute(&mut **connection)).await;
    }
    drop(connections);
    proxy.restore();
    places(async || timeout(PATIENCE, pool.acquire()).await.ok()?.ok()).await
}

/// How many connections can be had at the same time, at each of the moments.
async fn places<T>(mut acquire: impl AsyncFnMut() -> Option<T>) -> Result<Vec<usize>> {
    let restored = Instant::now();
    let mut counted = Vec::new();
    for seconds in LATER {
        sleep(Duration::from_secs(seconds).saturating_sub(restored.elapsed())).await;
        let mut had = Vec::new();
        while had.len() < PLACES as usize {
            match acquire().await {
                Some(connection) => had.push(connection),
                None => break,
            }
        }
        counted.push(had.len());
    }
    Ok(counted)
}
