//! A cold pool, connections that take 50 ms to open, and callers who give up after 0 to 20 ms: what becomes of the
//! connections that were begun for them?

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Result;
use poolgate_pool::{Pool, PoolConfig};
use poolgate_test_postgres::Postgres;
use sqlx::postgres::PgPoolOptions;
use tokio::time::{sleep, timeout};

use crate::contender::Contender;
use crate::table;

const PLACES: u32 = 5;
const CALLERS: u32 = 2000;
/// A caller comes each so often.
const EVERY: Duration = Duration::from_millis(1);
/// What opening a connection takes on top: TLS, a distant server, a busy one.
const CONNECT: Duration = Duration::from_millis(50);

pub(crate) async fn measure(server: &Postgres) -> Result<()> {
    let begun = [(); 2].map(|()| Arc::new(AtomicU32::new(0)));
    let limits = PoolConfig { size: PLACES, max_overflow: 0, ..PoolConfig::default() };
    let ours = Pool::<sqlx::Postgres>::builder(server.url("postgres").parse()?)
        .config(limits)
        .after_connect({
            let begun = Arc::clone(&begun[0]);
            move |_| {
                begun.fetch_add(1, Relaxed);
                Box::pin(async {
                    sleep(CONNECT).await;
                    Ok(())
                })
            }
        })
        .build()?;
    let theirs = PgPoolOptions::new().max_connections(PLACES).after_connect({
        let begun = Arc::clone(&begun[1]);
        move |_, _| {
            begun.fetch_add(1, Relaxed);
            Box::pin(async {
                sleep(CONNECT).await;
                Ok(())
            })
        }
    });
    let theirs = theirs.connect_lazy(&server.url("postgres"))?;
    let served = [callers(&ours).await?, callers(&theirs).await?];
    let row = |number: usize, name: &str| {
        vec![name.to_owned(), format!("{} of {CALLERS}", served[number]), begun[number].load(Relaxed).to_string()]
    };
    let heading = "Callers who give up after 0 to 20 ms, and connections that take 50 ms to open";
    table::print(heading, &["", "served", "connections opened"], &[row(0, "poolgate"), row(1, "sqlx::Pool")]);
    Ok(())
}

/// How many of them were served.
async fn callers(pool: &impl Contender) -> Result<u32> {
    let mut callers = Vec::new();
    for number in 0..CALLERS {
        let pool = pool.clone();
        let patience = Duration::from_millis((number % 20).into());
        callers.push(tokio::spawn(async move { timeout(patience, pool.turn(Duration::ZERO)).await }));
        sleep(EVERY).await;
    }
    let mut served = 0;
    for caller in callers {
        served += u32::from(matches!(caller.await?, Ok(Ok(()))));
    }
    Ok(served)
}
