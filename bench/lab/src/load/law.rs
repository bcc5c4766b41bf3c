//! A rival's law in a client: all requests of one user share it, and its time counts from when it was made.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A law behind a lock, with a clock.
#[derive(Debug)]
pub(super) struct Law<L> {
    made_at: Instant,
    law: Mutex<L>,
}

impl<L: Default> Default for Law<L> {
    fn default() -> Self {
        Self { made_at: Instant::now(), law: Mutex::default() }
    }
}

impl<L> Law<L> {
    /// Asks or tells the law something now.
    pub(super) fn now<T>(&self, ask: impl FnOnce(&mut L, Duration) -> T) -> T {
        ask(&mut self.law.lock().unwrap_or_else(PoisonError::into_inner), self.made_at.elapsed())
    }
}
