//! What Poolgate's own parts cost in an app: the config route and the gate beside the same handlers bare, the program's start,
//! its memory. `cargo xtask bench server` runs it.

mod app;
mod start;

pub(crate) use app::{Options as AppOptions, run as run_app};

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use self::app::{App, ROUTES, Route};
use crate::{
    cpu, document,
    machine::Machine,
    table::{self, Table},
    wire::{Demand, Habits, Kind, LoadPlan},
};

/// Users without a pause: enough to keep the app's processor busy.
const USERS: u32 = 64;
const HEADS: [&str; 6] =
    ["", "Requests/s", "of the bare handler's", "range", "Processor time of a request, us", "of the bare"];

/// `poolgate-bench-lab routes`.
#[derive(Debug, Args)]
#[command(bin_name = "cargo xtask bench server")]
pub(crate) struct Options {
    /// Shorter windows: to see that it works, not to quote
    #[arg(long)]
    quick: bool,
    /// Also put the tables into this document, between the marks `server`
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
}

/// One turn of a route.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    per_second: f64,
    cpu_us: f64,
}

/// Does what the options ask for.
pub(crate) fn run(options: &Options) -> Result<()> {
    let machine = Machine::new()?;
    let (rounds, seconds) = if options.quick { (1, 2) } else { (7, 4) };
    let tables = [routes(&machine, rounds, seconds)?, start::measure(&machine, rounds)?];
    for table in &tables {
        println!("{}", table.text());
    }
    if let Some(file) = &options.document {
        let note = if options.quick { "Runs of `--quick`, too short to quote.\n\n" } else { "" };
        document::put(file, "server", &format!("{note}{}", table::markdown(&tables)))?;
    }
    Ok(())
}

/// The routes take turns in each round. A ratio is that of two turns that follow each other.
fn routes(machine: &Machine, rounds: u32, seconds: u32) -> Result<Table> {
    let app = App::start(machine)?;
    let mut turns = ROUTES.map(|route| (route, Vec::new()));
    for _ in 0..rounds {
        for (route, pairs) in &mut turns {
            let bare = cost(machine, &app, route.bare, seconds)?;
            pairs.push((bare, cost(machine, &app, route.path, seconds)?));
        }
    }
    let mut table = Table::new(format!("Routes of an app on one processor, medians of {rounds}"), &HEADS);
    for (Route { name, .. }, pairs) in turns {
        let figure = |figure: &dyn Fn(&(Cost, Cost)) -> f64| spread(pairs.iter().map(figure).collect());
        let speed = figure(&|(bare, with)| with.per_second / bare.per_second);
        table.rows.push(vec![
            name.to_owned(),
            format!("{:.0}", figure(&|(_, with)| with.per_second).median),
            format!("{:.2}", speed.median),
            format!("{:.2}-{:.2}", speed.least, speed.most),
            format!("{:.1}", figure(&|(_, with)| with.cpu_us).median),
            format!("{:.2}", figure(&|(bare, with)| with.cpu_us / bare.cpu_us).median),
        ]);
    }
    Ok(table)
}

fn cost(machine: &Machine, app: &App, path: &str, seconds: u32) -> Result<Cost> {
    let before = cpu::seconds_used_by(app.process_id())?;
    let figures = machine.load(&LoadPlan {
        target: app.address,
        path: path.to_owned(),
        seed: 1,
        users: USERS,
        kind: Kind::Plain,
        habits: Habits::ONE_REQUEST,
        heavy_share: 0.0,
        rogue_share: 0.0,
        demand: Demand::Closed { seconds },
        window: (1, seconds),
    })?;
    let used = cpu::seconds_used_by(app.process_id())? - before;
    // Each user sends when it has its answer, also one without a body (304).
    let all: u32 = figures.seconds.iter().map(|second| second.sent).sum();
    let in_window: u32 = figures.seconds.iter().skip(1).take(seconds as usize - 1).map(|second| second.sent).sum();
    Ok(Cost { per_second: f64::from(in_window) / f64::from(seconds - 1), cpu_us: used * 1e6 / f64::from(all) })
}

/// The middle of some figures, and their range.
struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

fn spread(mut figures: Vec<f64>) -> Spread {
    figures.sort_by(f64::total_cmp);
    let at = |index: usize| figures.get(index).copied().unwrap_or_default();
    Spread { least: at(0), median: at(figures.len() / 2), most: at(figures.len().saturating_sub(1)) }
}
