//! The pause after a failed connect, and what failed connects say about the database.

use std::mem::discriminant;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::counts::Contact;
use crate::error::AcquireError;

/// Longest pause after the first failure; doubled by each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest pause at all: how late a database that is back can be noticed.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Shortest pause, whatever the jitter says.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
/// The same two for a server that is full: it is alive, and each attempt costs it a process.
const FIRST_PAUSE_FULL: Duration = Duration::from_secs(1);
const LONGEST_PAUSE_FULL: Duration = Duration::from_secs(5);
/// And for one that refuses the login: somebody has to mend that, and many failed logins look like an attack.
const FIRST_PAUSE_REFUSED: Duration = Duration::from_secs(1);
const LONGEST_PAUSE_REFUSED: Duration = Duration::from_secs(30);

/// Connections that nobody waits for are not tried again for so long, or down to half of it. Callers notice sooner that the
/// database is back. The second is for a server that is full, which has others to serve, or refuses the login.
const PAUSE_AHEAD: Duration = Duration::from_secs(5);
const PAUSE_AHEAD_ANSWERED: Duration = Duration::from_secs(30);

/// Failures since the last success, and until when no new attempt is made.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    until: Option<Instant>,
    /// The same for connections that nobody waits for.
    until_ahead: Option<Instant>,
    error: Option<AcquireError>,
    answered: Option<Instant>,
    failed: Option<Instant>,
    failing_since: Option<Instant>,
}

impl Backoff {
    /// The database let us in.
    pub(crate) fn succeeded(&mut self, now: Instant) {
        self.failures = 0;
        self.until = None;
        self.until_ahead = None;
        self.error = None;
        self.failing_since = None;
        self.answered = Some(now);
    }

    /// An attempt failed. `jitter` in [0, 1) shortens the pause: to nearly nothing (full jitter, so that many pools do
    /// not come back together), or by up to a half if the server is full or refuses the login.
    pub(crate) fn failed(&mut self, error: AcquireError, now: Instant, jitter: f64) {
        let (first, longest, reach, ahead) = match error {
            AcquireError::ServerFull(_) => (FIRST_PAUSE_FULL, LONGEST_PAUSE_FULL, 0.5, PAUSE_AHEAD_ANSWERED),
            AcquireError::LoginRefused(_) => (FIRST_PAUSE_REFUSED, LONGEST_PAUSE_REFUSED, 0.5, PAUSE_AHEAD_ANSWERED),
            _ => (FIRST_PAUSE, LONGEST_PAUSE, 1.0, PAUSE_AHEAD),
        };
        let jitter = jitter.clamp(0.0, 1.0);
        if self.error.as_ref().is_some_and(|before| discriminant(before) != discriminant(&error)) {
            // Another trouble has another pace.
            self.failures = 0;
        }
        let pause = first.saturating_mul(1 << self.failures.min(10)).min(longest);
        self.until = Some(now + pause.mul_f64(1.0 - reach * jitter).max(SHORTEST_PAUSE));
        self.until_ahead = Some(now + ahead.mul_f64(1.0 - 0.5 * jitter));
        self.failures = self.failures.saturating_add(1);
        self.failed = Some(now);
        self.failing_since.get_or_insert(now);
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
        remaining(self.until, now)
    }

    /// How long no connection is to be tried that nobody waits for.
    pub(crate) fn remaining_ahead(&self, now: Instant) -> Option<Duration> {
        remaining(self.until_ahead, now)
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
            failing: ago(self.failing_since),
            retry_in: self.remaining(now),
            failure: self.error.clone(),
            error: self.error.as_ref().map(|error| Arc::from(error.to_string())),
        }
    }
}

fn remaining(until: Option<Instant>, now: Instant) -> Option<Duration> {
    let remaining = until?.saturating_duration_since(now);
    (!remaining.is_zero()).then_some(remaining)
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
        assert_eq!(backoff.remaining(now), Some(SHORTEST_PAUSE), "full jitter");
        assert_eq!(backoff.contact(now).consecutive_failures, 7);

        assert_eq!(backoff.remaining_ahead(now), Some(PAUSE_AHEAD / 2));
        backoff.succeeded(now);
        assert_eq!((backoff.remaining(now), backoff.remaining_ahead(now)), (None, None));
        assert!(backoff.error().is_none());
        assert_eq!(backoff.contact(now + limit).answered, Some(limit));
    }

    #[test]
    fn a_full_server_is_left_alone_for_longer() {
        let now = Instant::now();
        let full = || AcquireError::ServerFull(Arc::new(sqlx::Error::WorkerCrashed));
        let mut backoff = Backoff::default();
        let mut pauses = Vec::new();
        for jitter in [0.0, 1.0, 0.0, 0.0] {
            backoff.failed(full(), now, jitter);
            pauses.push(backoff.remaining(now).unwrap().as_millis());
        }
        assert_eq!(pauses, [1000, 1000, 4000, 5000]);
        assert_eq!(backoff.remaining_ahead(now), Some(PAUSE_AHEAD_ANSWERED));
    }

    #[test]
    fn a_login_that_is_refused_is_tried_ever_more_rarely_and_at_once_after_a_success() {
        let now = Instant::now();
        let refused = || AcquireError::LoginRefused(Arc::new(sqlx::Error::WorkerCrashed));
        let mut backoff = Backoff::default();
        let mut pauses = Vec::new();
        for _ in 0..7 {
            backoff.failed(refused(), now, 0.0);
            pauses.push(backoff.contact(now).retry_in.unwrap().as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(backoff.contact(now + LONGEST_PAUSE).failing, Some(LONGEST_PAUSE));
        backoff.succeeded(now);
        assert_eq!((backoff.remaining(now), backoff.contact(now).failing), (None, None));
        backoff.failed(refused(), now, 0.0);
        assert_eq!(backoff.remaining(now), Some(FIRST_PAUSE_REFUSED));
        let limit = Duration::from_secs(5);
        backoff.failed(AcquireError::ConnectTimeout { limit }, now, 0.0);
        assert_eq!(backoff.remaining(now), Some(FIRST_PAUSE), "another trouble has another pace");
    }
}
