//! Far more callers than connections: how long they wait, and whether all get the same.

use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;
use poolgate_test_postgres::Postgres;

use crate::contender::{Contender, Contenders, NAMES};
use crate::table;

const CALLERS: usize = 1000;
/// How long a caller holds its connection.
const HOLD: Duration = Duration::from_millis(2);

pub(crate) async fn measure(server: &Postgres, seconds: u32, ours: bool) -> Result<()> {
    for connections in [20, 5] {
        let pools = Contenders::<sqlx::Postgres>::new(&server.url("postgres").parse()?, connections).await?;
        let time = Duration::from_secs(seconds.into());
        let mut rows = vec![crowd(&pools.poolgate, time).await?];
        if !ours {
            rows.extend([
                crowd(&pools.sqlx, time).await?,
                crowd(&pools.sqlx_tuned, time).await?,
                crowd(&pools.deadpool, time).await?,
                crowd(&pools.bb8, time).await?,
                crowd(&pools.bb8_tuned, time).await?,
            ]);
        }
        let rows = NAMES.iter().zip(rows).map(|(name, figures)| {
            let mut row = vec![(*name).to_owned()];
            row.extend(figures);
            row
        });
        let heading =
            format!("{CALLERS} callers on {connections} connections, {} ms each, {seconds} s", HOLD.as_millis());
        let columns = ["", "turns/s", "wait p50, ms", "wait p99, ms", "longest, ms", "turns of a caller"];
        table::print(&heading, &columns, &rows.collect::<Vec<_>>());
    }
    Ok(())
}

async fn crowd(pool: &impl Contender, time: Duration) -> Result<[String; 5]> {
    // Open the connections first.
    let (result, _) = round(pool, Duration::from_millis(500)).await?;
    drop(result);
    let started = Instant::now();
    let (waits, turns) = round(pool, time).await?;
    let took = started.elapsed().as_secs_f64();
    let total: u64 = turns.iter().sum();
    let (fewest, most) = (turns.iter().min().copied().unwrap_or(0), turns.iter().max().copied().unwrap_or(0));
    let millis = |micros: u64| format!("{:.1}", micros as f64 / 1000.0);
    Ok([
        format!("{:.0}", total as f64 / took),
        millis(waits.value_at_quantile(0.5)),
        millis(waits.value_at_quantile(0.99)),
        millis(waits.max()),
        format!("{fewest} to {most}"),
    ])
}

/// Everyone's waits in microseconds, and how many turns each had.
async fn round(pool: &impl Contender, time: Duration) -> Result<(Histogram<u64>, Vec<u64>)> {
    let end = Instant::now() + time;
    let callers = (0..CALLERS).map(|_| {
        let pool = pool.clone();
        tokio::spawn(async move {
            let mut waits = Histogram::<u64>::new(3)?;
            while Instant::now() < end {
                let asked = Instant::now();
                pool.turn(HOLD).await?;
                // Some of it is the hold, and the timer's grain; the same for all pools.
                let wait = asked.elapsed().saturating_sub(HOLD);
                waits.record(u64::try_from(wait.as_micros())?)?;
            }
            Ok::<_, anyhow::Error>(waits)
        })
    });
    let mut waits = Histogram::<u64>::new(3)?;
    let mut turns = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        let of_caller = caller.await??;
        turns.push(of_caller.len());
        waits.add(of_caller)?;
    }
    Ok((waits, turns))
}
