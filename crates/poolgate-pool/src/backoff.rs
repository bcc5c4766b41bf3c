//! The pause after a failed connect, and what failed connects say about the database.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::counts::Contact;
use crate::error::AcquireError;

/// Pause after the first failure; doubled by each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest pause: how late a database that is back can be noticed.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Failures since the last success, and until when no new attempt is made.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    until: Option<Instant>,
    error: Option<AcquireError>,
    answered: Option<Instant>,
    failed: Option<Instant>,
}

impl Backoff {
    /// The database let us in.
    pub(crate) fn succeeded(&mut self, now: Instant) {
        self.failures = 0;
        self.until = None;
        self.error = None;
        self.answered = Some(now);
    }

    /// An attempt failed. `jitter` in [0, 1) shortens the pause by up to a half.
    pub(crate) fn failed(&mut self, error: AcquireError, now: Instant, jitter: f64) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(10)).min(LONGEST_PAUSE);
        self.until = Some(now + pause.mul_f64(1.0 - 0.5 * jitter.clamp(0.0, 1.0)));
        self.failures = self.failures.saturating_add(1);
        if error.is_answer() {
            self.answered = Some(now);
        } else {
            self.failed = Some(now);
        }
        self.error = Some(error);
    }

    /// An attempt outside the pool failed: evidence, but no reason for the pool to pause.
    pub(crate) fn failed_apart(&mut self, now: Instant) {
        self.failed = Some(now);
    }

    /// An open connection answered: the database lives, whether or not it takes new connections.
    pub(crate) fn answered(&mut self, now: Instant) {
        self.answered = Some(now);
    }

    /// How long no new attempt is to be made.
    pub(crate) fn remaining(&self, now: Instant) -> Option<Duration> {
        let remaining = self.until?.saturating_duration_since(now);
        (!remaining.is_zero()).then_some(remaining)
    }

    /// The newest failure, if nothing has succeeded since.
    pub(crate) fn error(&self) -> Option<&AcquireError> {
        self.error.as_ref()
    }

    pub(crate) fn contact(&self, now: Instant) -> Contact {
        let ago = |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at));
        Contact {
            answered: ago(self.answered),
            failed: ago(self.failed),
            consecutive_failures: self.failures,
            error: self.error.as_ref().map(|error| Arc::from(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_second_and_end_with_a_success() {
        let now = Instant::now();
        let limit = Duration::from_secs(5);
        let mut backoff = Backoff::default();
        let mut pauses = Vec::new();
        for _ in 0..6 {
            backoff.failed(AcquireError::ConnectTimeout { limit }, now, 0.0);
            pauses.push(backoff.remaining(now).unwrap().as_millis());
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1000]);
        backoff.failed(AcquireError::ConnectTimeout { limit }, now, 1.0);
        assert_eq!(backoff.remaining(now), Some(Duration::from_millis(500)));
        assert_eq!(backoff.contact(now).consecutive_failures, 7);

        backoff.succeeded(now);
        assert_eq!(backoff.remaining(now), None);
        assert!(backoff.error().is_none());
        assert_eq!(backoff.contact(now + limit).answered, Some(limit));
    }
}
