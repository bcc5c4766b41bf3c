//! Holds readiness back until the pool has the connections that it opens ahead of demand.

use std::time::{Duration, Instant};

use crate::{
    readiness::{Readiness, StartUpWork},
    watched::Figures,
};

/// Longest wait after the database's first sign of life. A full or slow server must not keep this process from requests
/// that it could serve with fewer connections.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct WarmUp {
    work: Option<StartUpWork>,
    answered_at: Option<Instant>,
}

impl WarmUp {
    pub(super) fn new(readiness: &Readiness) -> Self {
        Self { work: Some(readiness.wait_for("opening connections")), answered_at: None }
    }

    /// Called with every tick, with whether the database answers.
    pub(super) fn update(&mut self, figures: &Figures, answers: bool, now: Instant) {
        if self.work.is_none() || !answers {
            return;
        }
        let answered_at = *self.answered_at.get_or_insert(now);
        let is_late = now.saturating_duration_since(answered_at) >= PATIENCE;
        if figures.lacking == 0 || is_late {
            self.work = None;
        }
        if figures.lacking > 0 && is_late {
            let open = figures.checked_out + figures.idle;
            tracing::warn!(
                open,
                lacking = figures.lacking,
                "Connection pool is not warm after 10 s; requests are taken"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it is ready after steps of (seconds, lacking connections, whether the database answers).
    fn is_ready(steps: &[(u64, u32, bool)]) -> bool {
        let readiness = Readiness::default();
        let mut warm_up = WarmUp::new(&readiness);
        readiness.database(true, None, false);
        let start = Instant::now();
        for (seconds, lacking, answers) in steps {
            let figures = Figures { lacking: *lacking, ..Figures::default() };
            warm_up.update(&figures, *answers, start + Duration::from_secs(*seconds));
        }
        readiness.missing().is_none()
    }

    #[test]
    fn ready_when_the_pool_is_warm() {
        assert!(!is_ready(&[(1, 20, true), (2, 3, true)]));
        assert!(is_ready(&[(1, 20, true), (2, 0, true)]));
        assert!(is_ready(&[(1, 0, true), (2, 9, true)]), "it is for the start alone");
    }

    #[test]
    fn ready_without_it_ten_seconds_after_the_database_has_answered() {
        assert!(!is_ready(&[(0, 20, false), (60, 20, true), (69, 20, true)]));
        assert!(is_ready(&[(0, 20, false), (60, 20, true), (70, 20, true)]));
    }
}
