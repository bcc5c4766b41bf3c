//! The pause after a failed connect, and the history of connects.

use std::mem::discriminant;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::counts::ConnectHistory;
use crate::error::AcquireError;

/// How pauses after failures grow.
struct Growth {
    /// The longest pause after the first failure.
    first: Duration,
    /// Factor from each pause to the next.
    factor: f64,
    /// The longest pause: the pool notices the database's return at the latest after this time.
    longest: Duration,
    /// The share of a pause that jitter may remove.
    jitter_share: f64,
    /// The longest pause of connects ahead of demand; jitter removes up to a half. Waiting callers' connects notice the
    /// database's return sooner.
    ahead: Duration,
}

const SILENT: Growth = Growth {
    first: Duration::from_millis(50),
    factor: 2.0,
    longest: Duration::from_secs(1),
    jitter_share: 1.0,
    ahead: Duration::from_secs(5),
};
/// A full server is alive, and each attempt costs it a process.
const FULL: Growth = Growth {
    first: Duration::from_secs(1),
    factor: 2.0,
    longest: Duration::from_secs(5),
    jitter_share: 0.5,
    ahead: Duration::from_secs(30),
};
/// Someone must correct a refused login, and many attempts look like an attack. Pauses grow to about half of the time since
/// the first failure, so they do not make a short outage much longer.
const REFUSED: Growth = Growth {
    first: Duration::from_secs(1),
    factor: 1.5,
    longest: Duration::from_secs(30),
    jitter_share: 0.5,
    ahead: Duration::from_secs(30),
};
/// The shortest pause, after jitter.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
/// Growth ends here, far beyond every longest pause.
const MAX_STEPS: i32 = 32;

impl Growth {
    const fn after(error: &AcquireError) -> Self {
        match error {
            AcquireError::ServerFull(_) => FULL,
            AcquireError::LoginRefused(_) => REFUSED,
            _ => SILENT,
        }
    }

    fn pause(&self, steps: i32, jitter: f64) -> Duration {
        // The product stays below 2^38 s.
        let pause = self.first.mul_f64(self.factor.powi(steps.min(MAX_STEPS))).min(self.longest);
        pause.mul_f64(1.0 - self.jitter_share * jitter).max(SHORTEST_PAUSE)
    }
}

/// Failures since the last success, and the pause that follows.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    /// Pauses since this kind of failure began.
    pauses: i32,
    until: Option<Instant>,
    /// The same for connects ahead of demand.
    until_ahead: Option<Instant>,
    error: Option<AcquireError>,
    answered: Option<Instant>,
    failed: Option<Instant>,
    failing_since: Option<Instant>,
}

impl Backoff {
    /// A connect succeeded.
    pub(crate) fn succeeded(&mut self, now: Instant) {
        self.failures = 0;
        self.pauses = 0;
        self.until = None;
        self.until_ahead = None;
        self.error = None;
        self.failing_since = None;
        self.answered = Some(now);
    }

    /// A connect failed. `jitter` in [0, 1) shortens the pause: to nearly nothing, so that many pools do not reconnect
    /// together, or by up to a half if the server is full or refuses the login.
    pub(crate) fn failed(&mut self, error: AcquireError, now: Instant, jitter: f64) {
        let jitter = jitter.clamp(0.0, 1.0);
        let growth = Growth::after(&error);
        let is_new_kind = self.error.as_ref().is_none_or(|before| discriminant(before) != discriminant(&error));
        if is_new_kind {
            // Each kind of failure starts with its first pause.
            self.pauses = 0;
        }
        // No connect begins within a pause, so this one began together with another that was counted.
        if is_new_kind || self.remaining(now).is_none() {
            self.until = Some(now + growth.pause(self.pauses, jitter));
            self.until_ahead = Some(now + growth.ahead.mul_f64(1.0 - 0.5 * jitter));
            self.pauses = self.pauses.saturating_add(1);
        }
        self.failures = self.failures.saturating_add(1);
        self.failed = Some(now);
        self.failing_since.get_or_insert(now);
        self.error = Some(error);
    }

    /// A dedicated connect failed: noted, but no reason for the pool to pause.
    pub(crate) fn dedicated_failed(&mut self, now: Instant) {
        self.failed = Some(now);
    }

    /// An open connection answered: the database is alive, whether or not it accepts new connections.
    pub(crate) fn answered(&mut self, now: Instant) {
        self.answered = Some(now);
    }

    /// The rest of the pause, if any.
    pub(crate) fn remaining(&self, now: Instant) -> Option<Duration> {
        remaining(self.until, now)
    }

    /// The rest of the pause of connects ahead of demand, if any.
    pub(crate) fn remaining_ahead(&self, now: Instant) -> Option<Duration> {
        remaining(self.until_ahead, now)
    }

    /// The newest failure, if none has succeeded since.
    pub(crate) fn error(&self) -> Option<&AcquireError> {
        self.error.as_ref()
    }

    pub(crate) fn history(&self, now: Instant) -> ConnectHistory {
        let ago = |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at));
        ConnectHistory {
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
        backoff.history(*now).retry_in.expect("a pause").as_millis()
    }

    #[test]
    fn pauses_double_up_to_a_second_and_end_with_a_success() {
        let mut now = Instant::now();
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..6).map(|_| fail(&mut backoff, late(), &mut now, 0.0)).collect();
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1000]);
        assert_eq!(fail(&mut backoff, late(), &mut now, 1.0), SHORTEST_PAUSE.as_millis(), "full jitter");
        assert_eq!(backoff.history(now).consecutive_failures, 7);

        assert_eq!(backoff.remaining_ahead(now), Some(SILENT.ahead / 2));
        backoff.succeeded(now);
        assert_eq!((backoff.remaining(now), backoff.remaining_ahead(now)), (None, None));
        assert!(backoff.error().is_none());
        assert_eq!(backoff.history(now + LIMIT).answered, Some(LIMIT));
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
        assert_eq!(backoff.history(now).failing, Some(now - begun));
        backoff.succeeded(now);
        assert_eq!((backoff.remaining(now), backoff.history(now).failing), (None, None));
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
        assert_eq!(backoff.history(now).consecutive_failures, 42);
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
