//! What it costs that each user gets a clean session: turns on one connection, so that each user waits for the reset after
//! the one before.

use std::time::{Duration, Instant};

use anyhow::Result;
use poolgate_pool::{Pool, PoolConfig, Reset};
use poolgate_test_postgres::Postgres as Server;
use sqlx::{Executor, Postgres, Sqlite};

use crate::table;

const ROUNDS: usize = 5;

const PLAIN: &str = "SELECT 1";
const SETTING: &str = "SET app.tenant = '42'";
const PRAGMA: &str = "PRAGMA recursive_triggers = ON";

/// A row of the table: how sessions are reset, and what each user does.
const WAYS: [(&str, Reset, Option<&str>); 7] = [
    ("auto, nothing is done", Reset::Auto, None),
    ("always, nothing is done", Reset::Always, None),
    ("never, a plain query", Reset::Never, Some(PLAIN)),
    ("auto, a plain query", Reset::Auto, Some(PLAIN)),
    ("always, a plain query", Reset::Always, Some(PLAIN)),
    ("never, a setting", Reset::Never, Some(SETTING)),
    ("auto, a setting", Reset::Auto, Some(SETTING)),
];

pub(crate) async fn measure(server: &Server, round_ms: u32) -> Result<()> {
    let round = Duration::from_millis(round_ms.into());
    let folder = tempfile::tempdir()?;
    let mut pools = Vec::new();
    for (_, reset, sql) in WAYS {
        let limits = PoolConfig { size: 1, max_overflow: 0, reset, ..PoolConfig::default() };
        let postgres = Pool::<Postgres>::builder(server.url("postgres").parse()?).config(limits.clone()).build()?;
        let file = poolgate_pool::sqlite_options(folder.path().join("sessions.db"));
        let sqlite = Pool::<Sqlite>::builder(file).config(limits).build()?;
        pools.push((postgres, sqlite, sql));
    }
    let mut rounds = vec![(Vec::new(), Vec::new()); pools.len()];
    // The first round opens the connections and does not count.
    for number in 0..=ROUNDS {
        for ((postgres, sqlite, sql), rounds) in pools.iter().zip(&mut rounds) {
            let turn = async || {
                let mut lease = postgres.acquire().await?;
                if let Some(sql) = *sql {
                    lease.execute(sql).await?;
                }
                anyhow::Ok(())
            };
            let on_postgres = one_round(round, turn).await?;
            let turn = async || {
                let mut lease = sqlite.acquire().await?;
                if let Some(sql) = *sql {
                    lease.execute(if sql == SETTING { PRAGMA } else { sql }).await?;
                }
                anyhow::Ok(())
            };
            let on_sqlite = one_round(round, turn).await?;
            if number > 0 {
                rounds.0.push(on_postgres);
                rounds.1.push(on_sqlite);
            }
        }
    }
    let median = |mut rounds: Vec<f64>| {
        rounds.sort_by(f64::total_cmp);
        format!("{:.1}", rounds[ROUNDS / 2])
    };
    let rows = WAYS
        .iter()
        .zip(rounds)
        .map(|((name, ..), (postgres, sqlite))| vec![(*name).to_owned(), median(postgres), median(sqlite)]);
    table::print("A clean session for each user", &["a turn, us", "PostgreSQL", "SQLite"], &rows.collect::<Vec<_>>());
    Ok(())
}

/// Microseconds of a turn.
async fn one_round(round: Duration, turn: impl AsyncFn() -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    let mut turns = 0_u32;
    while turns == 0 || started.elapsed() < round {
        for _ in 0..8 {
            turn().await?;
        }
        turns += 8;
    }
    Ok(started.elapsed().as_secs_f64() * 1e6 / f64::from(turns))
}
