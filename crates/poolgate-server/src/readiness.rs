//! Whether this process should get traffic: from the end of its start-up work and the first answer of the database
//! until its shutdown, except while the database has been lost for some time. Pressure on the pool never matters: it
//! would move this replica's load to the others.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering::Relaxed},
};

/// The state behind `/readyz`. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<State>);

/// Start-up work that must end first. Dropping it marks the work as done.
#[derive(Debug)]
#[must_use = "dropping this marks the work as done"]
pub struct StartUpWork {
    readiness: Readiness,
    what: &'static str,
}

#[derive(Debug, Default)]
struct State {
    sampled: AtomicBool,
    draining: AtomicBool,
    pending: Mutex<Vec<&'static str>>,
    database: Mutex<Database>,
}

#[derive(Debug, Default)]
struct Database {
    trouble: Option<String>,
    given_up: bool,
}

impl Readiness {
    /// Holds readiness back until the returned value is dropped; `/readyz` reports `what` meanwhile.
    pub fn wait_for(&self, what: &'static str) -> StartUpWork {
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner).push(what);
        StartUpWork { readiness: self.clone(), what }
    }

    /// Why the process is not ready; `None` when it is.
    pub fn missing(&self) -> Option<String> {
        if self.0.draining.load(Relaxed) {
            return Some("shutting down".to_owned());
        }
        let database = self.0.database.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.0.sampled.load(Relaxed) {
            let trouble = database.trouble.as_ref().map_or(String::new(), |trouble| format!(": {trouble}"));
            return Some(format!("waiting for the first answer of the database{trouble}"));
        }
        let pending = self.0.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if !pending.is_empty() {
            return Some(format!("still starting: {}", pending.join(", ")));
        }
        database.trouble.clone().filter(|_| database.given_up)
    }

    /// Records the state of the database: whether it answers, and why it cannot be used. `given_up`: that has lasted so
    /// long that this process should get no traffic.
    pub(crate) fn database(&self, answers: bool, trouble: Option<&str>, given_up: bool) {
        if answers {
            self.0.sampled.store(true, Relaxed);
        }
        let mut database = self.0.database.lock().unwrap_or_else(PoisonError::into_inner);
        if database.given_up != given_up && self.0.sampled.load(Relaxed) {
            // The alert has given the reason.
            if given_up {
                tracing::warn!("Database lost: not ready for traffic");
            } else {
                tracing::info!("Database is back: ready for traffic");
            }
        }
        database.given_up = given_up;
        if database.trouble.as_deref() != trouble {
            database.trouble = trouble.map(str::to_owned);
        }
    }

    /// Reports not ready from now on, so that traffic goes elsewhere.
    pub(crate) fn draining(&self) {
        self.0.draining.store(true, Relaxed);
    }
}

impl Drop for StartUpWork {
    fn drop(&mut self) {
        let mut pending = self.readiness.0.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = pending.iter().position(|what| *what == self.what) {
            pending.swap_remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_after_the_work_and_the_first_sample_until_shutdown() {
        let readiness = Readiness::default();
        let work = readiness.wait_for("demo data");
        readiness.database(true, None, false);
        assert!(readiness.missing().is_some_and(|missing| missing.contains("demo data")));
        drop(work);
        assert_eq!(readiness.missing(), None);
        readiness.draining();
        assert!(readiness.missing().is_some());
    }

    #[test]
    fn a_long_lost_database_makes_it_unready_until_it_answers() {
        let readiness = Readiness::default();
        readiness.database(false, Some("connection refused"), true);
        assert!(
            readiness
                .missing()
                .is_some_and(|missing| missing.contains("first answer of the database: connection refused"))
        );
        readiness.database(true, None, false);
        assert_eq!(readiness.missing(), None);
        readiness.database(false, Some("connection refused"), false);
        assert_eq!(readiness.missing(), None, "a short loss is tolerated");
        readiness.database(false, Some("connection refused"), true);
        assert_eq!(readiness.missing().as_deref(), Some("connection refused"));
        readiness.database(true, None, false);
        assert_eq!(readiness.missing(), None);
    }
}
