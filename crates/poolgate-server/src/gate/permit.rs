//! The right to be in flight.

use std::{fmt, sync::Arc};

use super::limiter::Limiter;

/// The right to be in flight; dropping it gives it back, exactly once.
pub(super) struct Permit {
    limiter: Option<Arc<Limiter>>,
    caller: Option<u64>,
}

impl Permit {
    /// A permit that the gate has granted to this caller.
    pub(super) fn new(limiter: Arc<Limiter>, caller: Option<u64>) -> Self {
        Self { limiter: Some(limiter), caller }
    }

    /// Ends this value without giving the permit back: the caller passes it on.
    pub(super) fn forget(mut self) {
        self.limiter = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(limiter) = self.limiter.take() {
            limiter.release(self.caller);
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("caller", &self.caller).finish_non_exhaustive()
    }
}
