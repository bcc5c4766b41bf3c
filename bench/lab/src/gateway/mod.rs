//! The gateway beside HAProxy and nginx: an app whose pool overflows, what the hop costs, what open connections cost.
//! `cargo xtask bench gateway` runs it.

mod handler;
mod hop;
mod memory;
mod overload;
mod shop;
mod slow;

pub(crate) use handler::{Options as HandlerOptions, run as run_handler};

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::{
    document,
    machine::Machine,
    table::{self, Table},
};

/// `poolgate-bench-lab gateway`.
#[derive(Debug, Args)]
#[command(bin_name = "cargo xtask bench gateway")]
pub(crate) struct Options {
    /// Shorter windows: to see that it works, not to quote
    #[arg(long)]
    quick: bool,
    /// Only this part; may be given several times
    #[arg(long, value_enum, value_name = "PART")]
    only: Vec<Part>,
    /// Also put the tables into this document, between the marks of each part (`gateway-overload` and so on)
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// FastAPI and SQLAlchemy at 0.6 to 10 times what they can do, alone and behind each gateway
    Overload,
    /// Time added to a handler of 1 ms, and processor time of a request
    Hop,
    /// Memory of 1,000 WebSockets and 1,000 event streams
    Memory,
    /// 2,000 readers who take nothing and 500 senders of a byte a second
    Slow,
}

/// Does what the options ask for.
pub(crate) fn run(options: &Options) -> Result<()> {
    let machine = Machine::new()?;
    for part in Part::value_variants().iter().filter(|part| options.only.is_empty() || options.only.contains(part)) {
        let (mark, tables) = match part {
            Part::Overload => ("gateway-overload", overload::measure(&machine, options.quick)?),
            Part::Hop => ("gateway-hop", hop::measure(&machine, options.quick)?),
            Part::Memory => ("gateway-memory", memory::measure(&machine)?),
            Part::Slow => ("gateway-slow", slow::measure(&machine)?),
        };
        for table in &tables {
            println!("{}", table.text());
        }
        if let Some(file) = &options.document {
            document::put(file, mark, &markdown(&tables, options.quick))?;
        }
    }
    Ok(())
}

fn markdown(tables: &[Table], quick: bool) -> String {
    let note = if quick { "Runs of `--quick`, too short to quote.\n\n" } else { "" };
    format!("{note}{}", table::markdown(tables))
}
