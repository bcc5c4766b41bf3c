//! How fast the program starts, and what it holds while nothing happens.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use poolgate_e2e::Server;
use tempfile::TempDir;
use tokio::runtime;

use super::spread;
use crate::{cpu, machine::Machine, table::Table};

const HEADS: [&str; 4] = ["", "Listens after, ms", "First config after, ms", "Memory (RSS) after 5 s, MiB"];
/// It has warmed its connections up by then.
const IDLE: Duration = Duration::from_secs(5);

/// The program with an embedded SQLite, started anew in each round.
pub(super) fn measure(machine: &Machine, rounds: u32) -> Result<Table> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut listens, mut answers, mut held) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let folder = TempDir::new()?;
        let database = format!("sqlite://{}?mode=rwc", folder.path().join("app.db").display());
        let begun = Instant::now();
        let server = cpu::pinned(&machine.server_cpus, || Server::builder().database(&database).start())??;
        listens.push(begun.elapsed().as_secs_f64() * 1e3);
        runtime.block_on(server.config())?;
        answers.push(begun.elapsed().as_secs_f64() * 1e3);
        thread::sleep(IDLE);
        held.push(cpu::memory_of(server.process_id())?);
        let (status, _) = server.terminate()?;
        ensure!(status.success(), "the program ended with {status}");
    }
    let mut table = Table::new(format!("The program's start, medians of {rounds}"), &HEADS);
    let figures = [listens, answers, held].map(|figures| format!("{:.1}", spread(figures).median));
    table.rows.push(std::iter::once("SQLite, empty".to_owned()).chain(figures).collect());
    Ok(table)
}
