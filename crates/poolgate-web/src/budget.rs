//! Keeps the budget in `localStorage` from one life of a page to the next, under the npm package's key and in its form.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use poolgate_front::{Calendar, Front};
use poolgate_throttle::Savings;

use crate::{
    base::Base,
    host::{self, Today},
};

/// Storage is written at most this often, except when the page is left.
const SPACING: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Budget {
    key: String,
    writing: Mutex<Writing>,
}

#[derive(Debug, Default)]
struct Writing {
    next: Duration,
    is_stored: bool,
}

impl Budget {
    pub(crate) fn new(base: &Base) -> Self {
        Self { key: format!("poolgate-budget {}", base.route("")), writing: Mutex::default() }
    }

    /// Gives the front the budget that an earlier page stored, if there is one.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn restore(&self, front: &Front) {
        let Some([at, tokens, rate_per_second, next_cost, paused_for_seconds, epoch]) = host::stored(&self.key) else {
            return;
        };
        self.writing().is_stored = true;
        // If the clock was set back, nothing has been earned since.
        let age = Duration::try_from_secs_f64(Today.today().as_secs_f64() - at / 1000.0).unwrap_or_default();
        front.restore(&Savings { tokens, rate_per_second, next_cost, paused_for_seconds, epoch: epoch as u64 }, age);
    }

    pub(crate) fn save_if_due(&self, front: &Front) {
        if front.now() >= self.writing().next {
            self.save(front);
        }
    }

    /// Stores the budget, or removes it when a new client would have the same.
    pub(crate) fn save(&self, front: &Front) {
        let savings = front.savings();
        let mut writing = self.writing();
        writing.next = front.now() + SPACING;
        if savings.is_some() || writing.is_stored {
            writing.is_stored = savings.is_some();
            host::store(&self.key, savings.map(numbers));
        }
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        // Nothing panics under this lock.
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Unix milliseconds, and the five numbers.
fn numbers(Savings { tokens, rate_per_second, next_cost, paused_for_seconds, epoch }: Savings) -> [f64; 6] {
    let at = (Today.today().as_secs_f64() * 1000.0).round();
    [at, tokens, rate_per_second, next_cost, paused_for_seconds, epoch as f64]
}
