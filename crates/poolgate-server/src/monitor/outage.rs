//! Tells readiness whether the database can be used, and gives up when it could not be for long.

use std::time::{Duration, Instant};

use poolgate_control::Reachability;
use poolgate_types::CircuitState;

use super::database_watch::DatabaseState;
use crate::readiness::Readiness;

/// Why a server whose database is back is not ready yet.
const RECOVERS: &str = "the database is back; other replicas serve until the circuit breaker is closed";

#[derive(Debug)]
pub(super) struct Outage {
    readiness: Readiness,
    /// The process is not ready after the database could not be used for this long; zero: it stays ready.
    unready_after: Duration,
    since: Option<Instant>,
    gave_up: bool,
}

impl Outage {
    pub(super) fn new(readiness: Readiness, unready_after: Duration) -> Self {
        Self { readiness, unready_after, since: None, gave_up: false }
    }

    /// Called with every tick. Returns what is wrong while the database cannot be used.
    ///
    /// A server that gave up gets traffic again when its database answers. If `others_serve`, it first goes through the
    /// recovery of its circuit breaker: until that is closed, it would reject requests that the others can serve. That takes
    /// bounded time, even without traffic.
    pub(super) fn update(
        &mut self,
        database: &DatabaseState,
        circuit: CircuitState,
        others_serve: bool,
    ) -> Option<String> {
        let DatabaseState { reachability, cause, .. } = database;
        let trouble = reachability.is_lost().then(|| reachability.trouble(cause.as_deref()));
        if trouble.is_none() {
            self.since = None;
        } else {
            self.since.get_or_insert_with(Instant::now);
        }
        let is_lost_for_long =
            !self.unready_after.is_zero() && self.since.is_some_and(|since| since.elapsed() >= self.unready_after);
        let recovers = self.gave_up && circuit != CircuitState::Closed;
        self.gave_up = is_lost_for_long || (recovers && others_serve);
        let answers = matches!(reachability, Reachability::Answering | Reachability::Paused);
        let why = trouble.as_deref().or(self.gave_up.then_some(RECOVERS));
        self.readiness.database(answers, why, self.gave_up);
        trouble
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(reachability: Reachability) -> DatabaseState {
        let connects = Reachability::Answering;
        DatabaseState { reachability, failed: None, connects, cause: None, read_only: None, waiting_for_locks: 0 }
    }

    #[test]
    fn a_server_that_gave_up_recovers_first_if_others_serve() {
        let readiness = Readiness::default();
        let mut outage = Outage::new(readiness.clone(), Duration::from_nanos(1));
        let mut ready = |reachability, circuit, others_serve| {
            outage.update(&database(reachability), circuit, others_serve);
            readiness.missing().is_none()
        };
        use CircuitState::{Closed, HalfOpen, Open};
        use Reachability::{Answering, Silent};
        assert!(ready(Answering, HalfOpen, true), "it has not given up");
        ready(Silent, Open, true);
        assert!(!ready(Silent, Open, true));
        assert!(!ready(Answering, HalfOpen, true), "the others serve all meanwhile");
        assert!(ready(Answering, Closed, true));
        ready(Silent, Open, false);
        assert!(!ready(Silent, Open, false));
        assert!(ready(Answering, HalfOpen, false), "none is better");
        assert!(ready(Answering, HalfOpen, true), "it goes on");
    }
}
