//! Acquire and release of connections that are open and idle: what every request pays.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use poolgate_pool::{Backend, sqlite_options};
use poolgate_test_postgres::Postgres;
use sqlx::Sqlite;

use crate::contender::{Contender, Contenders, NAMES, OptionsOf};
use crate::table;

const CONNECTIONS: u32 = 5;
const TASKS: u32 = 32;
const ROUNDS: usize = 5;
/// Turns between two looks at the clock.
const BATCH: u32 = 32;

pub(crate) async fn measure(server: &Postgres, round_ms: u32) -> Result<()> {
    let round = Duration::from_millis(round_ms.into());
    let folder = tempfile::tempdir()?;
    let postgres = nanos::<sqlx::Postgres>(&server.url("postgres").parse()?, round).await?;
    let sqlite = nanos::<Sqlite>(&sqlite_options(folder.path().join("hot.db")), round).await?;
    let columns = [
        "acquire + release, us",
        "PostgreSQL, 1 task",
        "PostgreSQL, 32 tasks on 5",
        "SQLite, 1 task",
        "SQLite, 32 tasks on 5",
    ];
    let rows = NAMES.iter().zip(postgres).zip(sqlite).map(|((name, postgres), sqlite)| {
        let figures = postgres.into_iter().chain(sqlite).map(|nanos| format!("{:.2}", nanos / 1000.0));
        std::iter::once((*name).to_owned()).chain(figures).collect()
    });
    table::print("The hot path", &columns, &rows.collect::<Vec<_>>());
    Ok(())
}

/// For each contender, how long a turn took with one task and with many: the median of the rounds, in nanoseconds of
/// the wall clock for each operation.
async fn nanos<DB: Backend>(options: &OptionsOf<DB>, round: Duration) -> Result<Vec<[f64; 2]>> {
    let mut results = vec![[0.0; 2]; NAMES.len()];
    for (column, tasks) in [1, TASKS].into_iter().enumerate() {
        let pools = Contenders::<DB>::new(options, CONNECTIONS).await?;
        let mut rounds = vec![Vec::new(); NAMES.len()];
        // The first round opens the connections and does not count.
        for number in 0..=ROUNDS {
            let figures = [
                one_round(&pools.poolgate, tasks, round).await?,
                one_round(&pools.sqlx, tasks, round).await?,
                one_round(&pools.sqlx_tuned, tasks, round).await?,
                one_round(&pools.deadpool, tasks, round).await?,
                one_round(&pools.bb8, tasks, round).await?,
                one_round(&pools.bb8_tuned, tasks, round).await?,
            ];
            if number > 0 {
                rounds.iter_mut().zip(figures).for_each(|(rounds, figure)| rounds.push(figure));
            }
        }
        for (result, mut rounds) in results.iter_mut().zip(rounds) {
            rounds.sort_by(f64::total_cmp);
            result[column] = rounds[ROUNDS / 2];
        }
    }
    Ok(results)
}

async fn one_round(pool: &impl Contender, tasks: u32, round: Duration) -> Result<f64> {
    let started = Instant::now();
    let workers = (0..tasks).map(|_| {
        let pool = pool.clone();
        tokio::spawn(async move {
            let mut turns = 0_u64;
            while started.elapsed() < round {
                for _ in 0..BATCH {
                    pool.turn(Duration::ZERO).await?;
                }
                turns += u64::from(BATCH);
                // Nothing waits on a hot path, so other tasks must be let in now and then.
                tokio::task::yield_now().await;
            }
            Ok::<_, anyhow::Error>(turns)
        })
    });
    let mut turns = 0;
    for worker in workers.collect::<Vec<_>>() {
        turns += worker.await??;
    }
    if turns == 0 {
        return Err(anyhow!("a round of {round:?} was too short"));
    }
    Ok(started.elapsed().as_nanos() as f64 / turns as f64)
}
