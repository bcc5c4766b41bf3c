//! Everybody who uses the program, each from loopback addresses of its own, all bounded in number and rate.

mod honest;
mod hostile;
mod slow;
mod socket;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use clap::ValueEnum;
use poolgate::demo::Random;
use tokio::task::JoinSet;

use crate::{ledger::Ledger, tally::Tally};

/// What all clients of one program share.
#[derive(Debug)]
pub struct Common {
    /// The program.
    pub target: SocketAddr,
    /// What they meet.
    pub tally: Tally,
    /// What they order.
    pub ledger: Ledger,
}

/// Who comes after the honest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Others {
    /// Nobody: only the faults
    None,
    /// Slow clients
    Slow,
    /// Hostile clients
    Hostile,
    /// Both
    All,
}

/// Clients at work. They end, and cut off what they are at, when this is dropped.
#[derive(Debug)]
#[must_use = "clients end when this is dropped"]
pub struct Clients(#[expect(dead_code, reason = "held for its drop")] JoinSet<()>);

/// How many clients there are and what they want, in words.
#[must_use]
pub fn description() -> String {
    format!("{}; slow: {}; hostile: {}", honest::description(), slow::description(), hostile::description())
}

impl Common {
    /// For a program at `target`, counted from `started`.
    #[must_use]
    pub fn new(target: SocketAddr, started: Instant) -> Arc<Self> {
        Arc::new(Self { target, tally: Tally::new(started), ledger: Ledger::default() })
    }
}

impl Clients {
    /// Those whose goodput is judged.
    pub fn honest(common: &Arc<Common>, seed: u64) -> Self {
        let mut clients = JoinSet::new();
        honest::spawn(&mut clients, common, &mut Random::of(seed, 1));
        Self(clients)
    }

    /// The others.
    pub fn others(common: &Arc<Common>, others: Others, seed: u64) -> Self {
        let mut clients = JoinSet::new();
        if matches!(others, Others::Slow | Others::All) {
            slow::spawn(&mut clients, common, &mut Random::of(seed, 2));
        }
        if matches!(others, Others::Hostile | Others::All) {
            hostile::spawn(&mut clients, common, &mut Random::of(seed, 3));
        }
        Self(clients)
    }
}

/// An address of this machine: all of 127.0.0.0/8 is.
fn address(group: u8, index: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 1, group, index + 1))
}
