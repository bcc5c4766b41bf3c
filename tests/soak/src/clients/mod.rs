//! All clients of the program. Each kind has its own loopback addresses and is bounded in number and rate.

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

/// The state that all clients of one program share.
#[derive(Debug)]
pub struct Common {
    /// The program.
    pub target: SocketAddr,
    /// Their outcomes.
    pub tally: Tally,
    /// Their orders.
    pub ledger: Ledger,
}

/// The clients that come after the honest ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Others {
    /// None: only the faults
    None,
    /// Slow clients
    Slow,
    /// Hostile clients
    Hostile,
    /// Both
    All,
}

/// Running clients. They are cut off when this is dropped.
#[derive(Debug)]
#[must_use = "clients end when this is dropped"]
pub struct Clients(#[expect(dead_code, reason = "held for its drop")] JoinSet<()>);

/// A description of all clients and their rates.
#[must_use]
pub fn description() -> String {
    format!("{}; slow: {}; hostile: {}", honest::description(), slow::description(), hostile::description())
}

impl Common {
    /// For a program at `target`; time counts from `started`.
    #[must_use]
    pub fn new(target: SocketAddr, started: Instant) -> Arc<Self> {
        Arc::new(Self { target, tally: Tally::new(started), ledger: Ledger::default() })
    }
}

impl Clients {
    /// Starts the clients whose goodput is judged.
    pub fn honest(common: &Arc<Common>, seed: u64) -> Self {
        let mut clients = JoinSet::new();
        honest::spawn(&mut clients, common, &mut Random::of(seed, 1));
        Self(clients)
    }

    /// Starts the others.
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

/// A local address: all of 127.0.0.0/8 is this machine.
fn address(group: u8, index: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 1, group, index + 1))
}
