//! The client-side throttle of the book "Site Reliability Engineering" (chapter "Handling Overload"): a client that has sent
//! `requests` of which the backend accepted `accepts` drops the next one itself with the probability
//! `(requests - K * accepts) / (requests + 1)`, over the last two minutes, with K = 2.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

const K: f64 = 2.0;
const WINDOW: Duration = Duration::from_secs(120);
/// The window moves in steps of this length.
const STEP: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct SreThrottle(Mutex<VecDeque<Counts>>);

#[derive(Debug)]
struct Counts {
    since: Instant,
    requests: u32,
    accepts: u32,
}

impl SreThrottle {
    /// Whether a request is sent; `chance` is uniform in `0.0..1.0`. What is dropped here counts as a request too.
    pub(super) fn lets_out(&self, now: Instant, chance: f64) -> bool {
        let mut window = self.at(now);
        let sum = |count: fn(&Counts) -> u32| window.iter().map(count).map(f64::from).sum::<f64>();
        let (requests, accepts) = (sum(|counts| counts.requests), sum(|counts| counts.accepts));
        if let Some(newest) = window.back_mut() {
            newest.requests += 1;
        }
        chance >= (requests - K * accepts) / (requests + 1.0)
    }

    /// What was sent was answered.
    pub(super) fn answered(&self, accepted: bool, now: Instant) {
        if let (true, Some(newest)) = (accepted, self.at(now).back_mut()) {
            newest.accepts += 1;
        }
    }

    /// The counts of the window that ends now.
    fn at(&self, now: Instant) -> MutexGuard<'_, VecDeque<Counts>> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if window.back().is_none_or(|newest| now.duration_since(newest.since) >= STEP) {
            window.push_back(Counts { since: now, requests: 0, accepts: 0 });
        }
        while window.front().is_some_and(|oldest| now.duration_since(oldest.since) > WINDOW) {
            window.pop_front();
        }
        window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_sends_about_k_times_what_is_accepted() {
        let throttle = SreThrottle::default();
        let start = Instant::now();
        let (mut sent, mut accepted) = (0_u32, 0_u32);
        for number in 0..6_000_u32 {
            let now = start + Duration::from_millis(10) * number;
            // Spread evenly over 0..1.
            if throttle.lets_out(now, f64::from(number * 7_919 % 10_007) / 10_007.0) {
                sent += 1;
                // The backend takes one request in ten of those that are wanted.
                let takes = number / 10 > accepted;
                accepted += u32::from(takes);
                throttle.answered(takes, now);
            }
        }
        let ratio = f64::from(sent) / f64::from(accepted);
        assert!((1.8..2.3).contains(&ratio), "{sent} sent, {accepted} accepted");
    }

    #[test]
    fn it_forgets_after_two_minutes() {
        let throttle = SreThrottle::default();
        let start = Instant::now();
        for _ in 0..100 {
            throttle.lets_out(start, 0.0);
        }
        assert!(!throttle.lets_out(start, 0.9));
        assert!(throttle.lets_out(start + WINDOW + STEP, 0.0));
    }
}
