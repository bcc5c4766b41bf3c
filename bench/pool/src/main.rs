//! Connection pools side by side, in one run on one machine: `cargo xtask bench pool`.
//!
//! Ours, `sqlx::Pool` (as it comes, and without its test on acquire), deadpool and bb8, over the same sqlx connections to
//! a private PostgreSQL and to a SQLite file. Rounds alternate between the pools, so that other work of the machine
//! meets all of them; the median round counts.

mod contender;
mod crowd;
mod hot;
mod impatience;
mod recovery;
mod sessions;
mod silence;
mod sizing;
mod table;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use poolgate_test_postgres::Postgres;

/// Measures connection pools and prints Markdown tables.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to measure; everything unless given.
    #[arg(long, value_enum)]
    only: Option<Measurement>,
    /// How long each of the five rounds of a hot path takes, ms.
    #[arg(long, default_value_t = 500)]
    round_ms: u32,
    /// How long each crowd keeps coming, seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Lets the crowds come to our pool alone.
    #[arg(long)]
    ours: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Measurement {
    /// Acquire and release a hot connection.
    Hot,
    /// What it costs that each user gets a clean session.
    Sessions,
    /// 1,000 callers on 20 connections, and on 5.
    Crowd,
    /// A peer that goes silent with connections in use.
    Silence,
    /// Faults, and how soon the pool works again after each; two minutes.
    Recovery,
    /// Callers who give up while connections are opened.
    Impatience,
    /// A wave of demand on pools of a fixed size and on one that follows a forecast; a minute.
    Sizing,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    // Six pools of 20 at most.
    let server = Postgres::start_with_max_connections(200)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(&arguments, &server))
}

async fn measure(arguments: &Arguments, server: &Postgres) -> Result<()> {
    let wanted = |measurement| arguments.only.is_none_or(|only| only == measurement);
    if wanted(Measurement::Hot) {
        hot::measure(server, arguments.round_ms).await?;
    }
    if wanted(Measurement::Sessions) {
        sessions::measure(server, arguments.round_ms).await?;
    }
    if wanted(Measurement::Crowd) {
        crowd::measure(server, arguments.seconds, arguments.ours).await?;
    }
    if wanted(Measurement::Silence) {
        silence::measure(server).await?;
    }
    if wanted(Measurement::Recovery) {
        recovery::measure(server).await?;
    }
    if wanted(Measurement::Impatience) {
        impatience::measure(server).await?;
    }
    if wanted(Measurement::Sizing) {
        sizing::measure(server).await?;
    }
    Ok(())
}
