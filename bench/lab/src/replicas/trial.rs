//! What happens to the replicas.

use std::{thread, time::Duration};

use anyhow::Result;
use clap::ValueEnum;

use super::group::Group;
use crate::wire::Moment;

/// When it happens, from the start of the load's process, and for how long.
const BEFORE: Duration = Duration::from_secs(20);
const LASTS: Duration = Duration::from_secs(15);

/// One run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Trial {
    /// One replica with all connections, to compare with
    One,
    /// Three replicas, and nothing happens
    Three,
    /// The one that publishes is killed
    Killed,
    /// The one that publishes is stopped for 15 s
    Stopped,
    /// One does not reach the database for 15 s, and so not the store either
    NoDatabase,
    /// Three new replicas start, and then the old ones end
    Deploy,
    /// Three replicas that meet in NATS
    ThreeNats,
    /// One does not reach NATS for 15 s
    NoStore,
    /// nats-server is killed, and starts again after 15 s
    StoreKilled,
}

/// The moments at which something began and ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Happened {
    pub(super) begun: Moment,
    pub(super) ended: Moment,
}

impl Trial {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::One => "one replica",
            Self::Three => "three",
            Self::Killed => "the publisher is killed",
            Self::Stopped => "the publisher is stopped",
            Self::NoDatabase => "one without the database",
            Self::Deploy => "rolling deploy",
            Self::ThreeNats => "three, NATS",
            Self::NoStore => "one without NATS",
            Self::StoreKilled => "nats-server is killed",
        }
    }

    pub(super) const fn uses_nats(self) -> bool {
        matches!(self, Self::ThreeNats | Self::NoStore | Self::StoreKilled)
    }

    /// Waits, lets it happen, and ends it.
    pub(super) fn happen(self, group: &mut Group<'_>) -> Result<Option<Happened>> {
        thread::sleep(BEFORE);
        let begun = Moment::now();
        match self {
            Self::One | Self::Three | Self::ThreeNats => return Ok(None),
            Self::Killed => group.kill_publisher()?,
            Self::Stopped => {
                let stopped = group.stop_publisher()?;
                thread::sleep(LASTS);
                drop(stopped);
            }
            Self::NoDatabase | Self::NoStore => {
                group.cut_off();
                thread::sleep(LASTS);
                group.reach_again();
            }
            Self::StoreKilled => {
                group.kill_store()?;
                thread::sleep(LASTS);
                group.start_store_again()?;
            }
            Self::Deploy => group.deploy()?,
        }
        Ok(Some(Happened { begun, ended: Moment::now() }))
    }
}
