//! The right to be in flight.

use std::{fmt, sync::Arc, time::Instant};

use super::limiter::Limiter;

/// The right to be in flight; dropping it gives it back, exactly once.
pub(crate) struct Permit {
    limiter: Option<Arc<Limiter>>,
    begun: Option<Instant>,
}

impl Permit {
    pub(super) fn new(limiter: Arc<Limiter>) -> Self {
        Self { limiter: Some(limiter), begun: None }
    }

    /// The request starts now: from here on the permit counts as admitted, and its time is measured.
    pub(super) fn begin(&mut self) {
        if let (Some(limiter), None) = (&self.limiter, self.begun) {
            limiter.tally().admitted();
            self.begun = Some(Instant::now());
        }
    }

    /// Ends this value without giving the permit back: the caller passes it on.
    pub(super) fn forget(mut self) {
        self.limiter = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(limiter) = self.limiter.take() else { return };
        if let Some(begun) = self.begun {
            limiter.tally().completed(begun.elapsed());
        }
        limiter.release();
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("begun", &self.begun).finish_non_exhaustive()
    }
}
