//! Tells readiness whether the database can be used, and gives up when it could not be for long.

use std::time::{Duration, Instant};

use poolgate_control::Reachability;

use super::database_watch::DatabaseState;
use crate::readiness::Readiness;

#[derive(Debug)]
pub(super) struct Outage {
    readiness: Readiness,
    /// The process is not ready after the database could not be used for this long; zero: it stays ready.
    unready_after: Duration,
    since: Option<Instant>,
}

impl Outage {
    pub(super) fn new(readiness: Readiness, unready_after: Duration) -> Self {
        Self { readiness, unready_after, since: None }
    }

    /// Called with every tick. Returns what is wrong while the database cannot be used.
    pub(super) fn update(&mut self, database: &DatabaseState) -> Option<String> {
        let DatabaseState { reachability, cause, .. } = database;
        let trouble = reachability.is_lost().then(|| reachability.trouble(cause.as_deref()));
        if trouble.is_none() {
            self.since = None;
        } else {
            self.since.get_or_insert_with(Instant::now);
        }
        let gave_up =
            !self.unready_after.is_zero() && self.since.is_some_and(|since| since.elapsed() >= self.unready_after);
        let answers = matches!(reachability, Reachability::Answering | Reachability::Paused);
        self.readiness.database(answers, trouble.as_deref(), gave_up);
        trouble
    }
}
