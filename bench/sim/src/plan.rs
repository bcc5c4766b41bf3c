//! What a batch runs: cases, and with how many seeds.

use std::sync::Arc;

use crate::{contender::Contender, setup::Setup};

/// All runs of a command.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) cases: Vec<Case>,
    /// Each case runs with the seeds from 1 to this one.
    pub(crate) seeds: u64,
    /// Runs at a time.
    pub(crate) threads: usize,
}

/// A set-up and the scheme that controls it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) setup: Arc<Setup>,
    pub(crate) contender: Contender,
}
