//! Three replicas behind HAProxy share one PostgreSQL, 1,000 users want three times what it can serve, and something happens.
//! `cargo xtask bench replicas` runs it.
//!
//! The replicas are the program itself, with the demo's route that holds a connection for a given time. The users run
//! `poolgate-throttle`, each with an event stream and an address of its own, which HAProxy forwards.

mod figures;
mod group;
mod trial;
mod watch;

use std::{path::PathBuf, thread};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use poolgate_test_postgres::Postgres;

use self::{
    figures::Figures,
    group::{BUDGET, CONNECTIONS, Group},
    trial::Trial,
    watch::Watch,
};
use crate::{
    cpu, document,
    machine::Machine,
    table::{self, Table},
    wire::{Demand, Habits, Kind, LoadFigures, LoadPlan, LoadSecond, Step},
};

/// The route, and for how long it holds a connection.
const PATH: &str = "/api/v1/lab/hold?hold_ms=150";
const USERS: u32 = 1_000;
/// Users without a pause who keep all connections busy.
const CLOSED_USERS: u32 = 2 * CONNECTIONS;
/// Demand, as a multiple of what one replica with all connections can do.
const MULTIPLE: f64 = 3.0;
/// Of a load, with the seconds in which it counts.
const SECONDS: u32 = 55;
const WINDOW: (u32, u32) = (5, SECONDS);
const WINDOW_OF_PEAK: (u32, u32) = (3, 13);
/// Connections that PostgreSQL allows: the budget, and some for those who watch.
const MAX_CONNECTIONS: u32 = BUDGET + 20;

/// `poolgate-bench-lab replicas`.
#[derive(Debug, Args)]
#[command(bin_name = "cargo xtask bench replicas")]
pub(crate) struct Options {
    /// Only this trial; may be given several times
    #[arg(long, value_enum, value_name = "TRIAL")]
    only: Vec<Trial>,
    /// The users' seed: other seeds want things at other moments
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also print what happened in each second of a trial
    #[arg(long)]
    timeline: bool,
    /// Also put the table into this document, between the marks `replicas`
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
}

/// Does what the options ask for.
pub(crate) fn run(options: &Options) -> Result<()> {
    let machine = Machine::new()?;
    let postgres = cpu::pinned(&machine.server_cpus, || Postgres::start_with_max_connections(MAX_CONNECTIONS))??;
    let peak = peak(&machine, &postgres, options.seed)?;
    let mut table = Table::new(
        format!("Three times the peak of {peak:.0} requests/s; at most {BUDGET} connections are allowed"),
        &figures::HEADS,
    );
    for trial in Trial::value_variants().iter().filter(|trial| options.only.is_empty() || options.only.contains(trial))
    {
        let figures =
            measure(&machine, &postgres, *trial, peak, options).with_context(|| format!("the trial {trial:?}"))?;
        let row = figures.row(trial.name());
        eprintln!("{}", row.join(" | "));
        table.rows.push(row);
    }
    println!("{}", table.text());
    match &options.document {
        Some(file) => document::put(file, "replicas", &table::markdown(&[table])),
        None => Ok(()),
    }
}

/// What one replica with all connections serves when it always has enough to do and never too much, requests a second.
fn peak(machine: &Machine, postgres: &Postgres, seed: u64) -> Result<f64> {
    let group = Group::start(machine, postgres, "peak", Trial::One)?;
    let (from, to) = WINDOW_OF_PEAK;
    let demand = Demand::Closed { seconds: to };
    let load = machine.load(&plan(&group, seed, Kind::Plain, CLOSED_USERS, demand, (from, to)))?;
    Ok(f64::from(load.sum((from, to), |second| second.served)) / f64::from(to - from))
}

fn measure(machine: &Machine, postgres: &Postgres, trial: Trial, peak: f64, options: &Options) -> Result<Figures> {
    let mut group = Group::start(machine, postgres, trial.name(), trial)?;
    let watch = Watch::start(group.address(), postgres.url("postgres"));
    let demand = Demand::Open { rate: peak, steps: vec![Step { seconds: SECONDS, multiple: MULTIPLE }] };
    let plan = plan(&group, options.seed, Kind::Poolgate, USERS, demand, WINDOW);
    let (load, happened) = thread::scope(|scope| {
        let load = scope.spawn(|| machine.load(&plan));
        let happened = trial.happen(&mut group);
        let load: Result<LoadFigures> = load.join().ok().context("the load's thread has panicked")?;
        anyhow::Ok((load?, happened?))
    })?;
    let seen = watch.end()?;
    if options.timeline {
        eprintln!("{}", timeline(&load.seconds).text());
    }
    Ok(Figures::of(&load, WINDOW, peak, happened, seen))
}

fn timeline(seconds: &[LoadSecond]) -> Table {
    let mut table = Table::new("Each second".to_owned(), &["", "Sent", "Served", "Rejected", "Errors", "Unanswered"]);
    table.rows.extend(seconds.iter().enumerate().map(|(number, second)| {
        let LoadSecond { sent, served, rejected, errors, unanswered, .. } = second;
        [number as u32, *sent, *served, *rejected, *errors, *unanswered].iter().map(u32::to_string).collect()
    }));
    table
}

fn plan(group: &Group<'_>, seed: u64, kind: Kind, users: u32, demand: Demand, window: (u32, u32)) -> LoadPlan {
    LoadPlan {
        target: group.address(),
        path: PATH.to_owned(),
        seed,
        users,
        kind,
        habits: Habits::ONE_REQUEST,
        heavy_share: 0.0,
        rogue_share: 0.0,
        demand,
        window,
    }
}
