//! Whether this process should get traffic: after its start-up work and its first sign of life from the database, until
//! it shuts down. Never because the pool is under pressure: that would move this replica's load to the others.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering::Relaxed},
};

/// What `/readyz` answers. Clones share their state.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<State>);

/// Start-up work that must be done first. Dropping it says that it is done, so drop it only then.
#[derive(Debug)]
#[must_use = "the work counts as done when this is dropped"]
pub struct StartUpWork {
    readiness: Readiness,
    what: &'static str,
}

#[derive(Debug, Default)]
struct State {
    sampled: AtomicBool,
    draining: AtomicBool,
    pending: Mutex<Vec<&'static str>>,
}

impl Readiness {
    /// Holds readiness back until the returned value is dropped; `what` is told to those who ask meanwhile.
    pub fn wait_for(&self, what: &'static str) -> StartUpWork {
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner).push(what);
        StartUpWork { readiness: self.clone(), what }
    }

    /// What is missing, or `None` when ready.
    pub fn missing(&self) -> Option<String> {
        if self.0.draining.load(Relaxed) {
            return Some("shutting down".to_owned());
        }
        let pending = self.0.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if !pending.is_empty() {
            return Some(format!("still at work: {}", pending.join(", ")));
        }
        drop(pending);
        (!self.0.sampled.load(Relaxed)).then(|| "waiting for the database's first sign of life".to_owned())
    }

    /// The database has answered and was sampled.
    pub(crate) fn sampled(&self) {
        self.0.sampled.store(true, Relaxed);
    }

    /// Sends traffic elsewhere from now on.
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
        readiness.sampled();
        assert!(readiness.missing().is_some_and(|missing| missing.contains("demo data")));
        drop(work);
        assert_eq!(readiness.missing(), None);
        readiness.draining();
        assert!(readiness.missing().is_some());
    }
}
