//! The pause after a failed connect, and what failed connects say about the database.

use std::mem::discriminant;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::counts::Contact;
use crate::error::AcquireError;

/// How long no new attempt is made after a failure.
struct Pace {
    /// The longest pause after the first failure.
    first: Duration,
    /// How much longer each further one is.
    growth: f64,
    /// The longest pause at all: how late a database that is back can be noticed.
    longest: Duration,
    /// The share of a pause that jitter may take away.
    reach: f64,
    /// The longest pause for connections that nobody waits for, of which jitter takes up to a half. Callers notice sooner that
    /// the database is back.
    ahead: Duration,
}

const SILENT: Pace = Pace {
    first: Duration::from_millis(50),
    growth: 2.0,
    longest: Duration::from_secs(1),
    reach: 1.0,
    ahead: Duration::from_secs(5),
};
/// A server that is full is alive, and each attempt costs it a process.
const FULL: Pace = Pace {
    first: Duration::from_secs(1),
    growth: 2.0,
    longest: Duration::from_secs(5),
    reach: 0.5,
    ahead: Duration::from_secs(30),
};
/// A refused login has to be mended by somebody, and many of them look like an attack. The pauses grow to about half of the
/// time that it has lasted: a short outage is not made much longer by them.
const REFUSED: Pace = Pace {
    first: Duration::from_secs(1),
    growth: 1.5,
    longest: Duration::from_secs(30),
    reach: 0.5,
    ahead: Duration::from_secs(30),
};
/// Shortest pause, whatever the jitter says.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
/// Growth ends here, far beyond every longest pause.
const MOST_STEPS: i32 = 32;

impl Pace {
    const fn after(error: &AcquireError) -> Self {
        match error {
            AcquireError::ServerFull(_) => FULL,
            AcquireError::LoginRefused(_) => REFUSED,
            _ => SILENT,
        }
    }

    fn pause(&self, steps: i32, jitter: f64) -> Duration {
        // The product stays below 2^38 s.
        let pause = self.first.mul_f64(self.growth.powi(steps.min(MOST_STEPS))).min(self.longest);
        pause.mul_f64(1.0 - self.reach * jitter).max(SHORTEST_PAUSE)
    }
}

/// Failures since the last success, and until when no new attempt is made.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    /// Pauses of the present pace.
    pauses: i32,
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
        self.pauses = 0;
        self.until = None;
        self.until_ahead = None;
        self.error = None;
        self.failing_since = None;
        self.answered = Some(now);
    }

    /// An attempt failed. `jitter` in [0, 1) shortens the pause: to nearly nothing (full jitter, so that many pools do
    /// not come back together), or by up to a half if the server is full or refuses the login.
    pub(crate) fn failed(&mut self, error: AcquireError, now: Instant, jitter: f64) {
        let jitter = jitter.clamp(0.0, 1.0);
        let pace = Pace::after(&error);
        let is_another = self.error.as_ref().is_none_or(|before| discriminant(before) != discriminant(&error));
        if is_another {
            // Another trouble has another pace.
            self.pauses = 0;
        }
        // None begins within a pause, so this one began together with another that has been counted.
        if is_another || self.remaining(now).is_none() {
            self.until = Some(now + pace.pause(self.pauses, jitter));
            self.until_ahead = Some(now + pace.ahead.mul_f64(1.0 - 0.5 * jitter));
            self.pauses = self.pauses.saturating_add(1);
        }
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

    const LIMIT: Duration = Duration::from_secs(5);

    fn late() -> AcquireError {
        AcquireError::ConnectTimeout { limit: LIMIT }
    }

    fn full() -> AcquireError {
        AcquireError::ServerFull(Arc::new(sqlx::Error::WorkerCrashed))
    }

    fn refused() -> AcquireError {
        AcquireError::LoginRefused(Arc::new(sqlx::Error::WorkerCrashed))
    }

    /// An attempt fails as soon as one may be made; the pause after it, in milliseconds.
    fn fail(backoff: &mut Backoff, error: AcquireError, now: &mut Instant, jitter: f64) -> u128 {
        *now += backoff.remaining(*now).unwrap_or_default();
        backoff.failed(error, *now, jitter);
        backoff.contact(*now).retry_in.expect("a pause").as_millis()
    }

    #[test]
    fn pauses_double_up_to_a_second_and_end_with_a_success() {
        let mut now = Instant::now();
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..6).map(|_| fail(&mut backoff, late(), &mut now, 0.0)).collect();
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1000]);
        assert_eq!(fail(&mut backoff, late(), &mut now, 1.0), SHORTEST_PAUSE.as_millis(), "full jitter");
        assert_eq!(backoff.contact(now).consecutive_failures, 7);

        assert_eq!(backoff.remaining_ahead(now), Some(SILENT.ahead / 2));
        backoff.succeeded(now);
        assert_eq!((backoff.remaining(now), backoff.remaining_ahead(now)), (None, None));
        assert!(backoff.error().is_none());
        assert_eq!(backoff.contact(now + LIMIT).answered, Some(LIMIT));
    }

    #[test]
    fn a_full_server_is_left_alone_for_longer() {
        let mut now = Instant::now();
        let mut backoff = Backoff::default();
        let pauses = [0.0, 1.0, 0.0, 0.0].map(|jitter| fail(&mut backoff, full(), &mut now, jitter));
        assert_eq!(pauses, [1000, 1000, 4000, 5000]);
        assert_eq!(backoff.remaining_ahead(now), Some(FULL.ahead));
    }

    #[test]
    fn a_login_that_is_refused_is_tried_ever_more_rarely_and_at_once_after_a_success() {
        let mut now = Instant::now();
        let begun = now;
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..11).map(|_| fail(&mut backoff, refused(), &mut now, 0.0)).collect();
        assert_eq!(pauses, [1000, 1500, 2250, 3375, 5062, 7593, 11390, 17085, 25628, 30000, 30000]);
        assert_eq!(backoff.contact(now).failing, Some(now - begun));
        backoff.succeeded(now);
        assert_eq!((backoff.remaining(now), backoff.contact(now).failing), (None, None));
        assert_eq!(fail(&mut backoff, refused(), &mut now, 0.0), REFUSED.first.as_millis());
        backoff.failed(late(), now, 0.0);
        assert_eq!(backoff.remaining(now), Some(SILENT.first), "another trouble has another pace");
    }

    #[test]
    fn attempts_that_fail_together_make_the_pause_no_longer() {
        let mut now = Instant::now();
        let mut backoff = Backoff::default();
        for pause in [1000, 1500] {
            assert_eq!(fail(&mut backoff, refused(), &mut now, 0.0), pause);
            for _ in 0..20 {
                backoff.failed(refused(), now + Duration::from_millis(5), 0.0);
            }
            assert_eq!(backoff.remaining(now), Some(Duration::from_millis(pause.try_into().unwrap())));
        }
        assert_eq!(backoff.contact(now).consecutive_failures, 42);
    }

    /// Whenever a login works again, the next attempt comes within a second or about as long as half of the outage; and no
    /// jitter makes many attempts.
    #[test]
    fn a_short_outage_of_logins_is_a_short_one() {
        for jitter in [0.0, 0.25, 0.5, 1.0] {
            let begun = Instant::now();
            let mut now = begun;
            let mut backoff = Backoff::default();
            let mut attempts = 0;
            while now - begun < Duration::from_secs(8) {
                let pause = Duration::from_millis(fail(&mut backoff, refused(), &mut now, jitter) as u64);
                let lasted = now - begun;
                assert!(pause <= REFUSED.first + lasted / 2, "{pause:?} after {lasted:?}, jitter {jitter}");
                attempts += u32::from(lasted < Duration::from_secs(8));
            }
            assert!((4..=6).contains(&attempts), "{attempts} attempts in 8 s, jitter {jitter}");
        }
    }
}
