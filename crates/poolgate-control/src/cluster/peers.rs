//! What a server needs of its cluster, without knowing it.

use std::{fmt, sync::Arc};

use poolgate_types::{ClusterStatus, ThrottlingConfig};

use super::{
    audience::{Audience, Elsewhere},
    row::Totals,
};
use crate::{Sample, Settings, Thresholds};

/// The other servers in front of the same database, as a server's monitor sees them.
pub trait Peers: fmt::Debug + Send + Sync + 'static {
    /// Begins to publish with them. `epoch` is the server's start in Unix milliseconds, `seed` any number of its own.
    /// Called once, before the first tick.
    fn begin(&self, settings: Settings, epoch: u64, seed: u64);

    /// Changes the thresholds of the shared config.
    fn set_thresholds(&self, thresholds: Thresholds);

    /// Takes in what the server has seen, and says what it is to serve. Called at each tick.
    fn tick(&self, own: Own<'_>) -> Said;

    /// The clients at the others, as of the newest exchange.
    fn elsewhere(&self) -> Arc<Elsewhere>;

    /// What operators see.
    fn status(&self) -> ClusterStatus;
}

/// What a server has seen since the previous tick.
#[expect(missing_debug_implementations, reason = "it borrows a function")]
#[derive(Clone, Copy)]
pub struct Own<'a> {
    /// Its sample, with the permits that the gate has without a trial.
    pub sample: &'a Sample,
    /// Requests since its start.
    pub totals: Totals,
    /// Whether it reaches the database.
    pub reaches_database: bool,
    /// Tells who hears the config from it, with addresses hashed under this key. Called only before an exchange.
    pub audience: &'a dyn Fn(u32) -> Audience,
}

/// What a server is to serve.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// No config yet: what the others serve is not known.
    Nothing,
    /// What it would say without the others.
    Own,
    /// This config, which all serve.
    Shared(ThrottlingConfig),
}
