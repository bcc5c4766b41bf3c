//! The law: which of its own requests a client drops, by how many of them were accepted lately.

use std::{collections::VecDeque, time::Duration};

const WINDOW: Duration = Duration::from_secs(120);
/// `K` of the book.
const MULTIPLIER: f64 = 2.0;

/// Requests and accepts of the last two minutes, in steps of a second. Times count from any moment before the first call.
#[derive(Debug, Default)]
pub struct ClientThrottle {
    steps: VecDeque<Step>,
    requests: f64,
    accepts: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Step {
    second: u64,
    requests: f64,
    accepts: f64,
}

impl ClientThrottle {
    /// Whether a request is sent; `chance` is uniform in `0.0..1.0`. One that is dropped here counts as a request too.
    pub fn lets_out(&mut self, now: Duration, chance: f64) -> bool {
        let drop_chance = self.drop_chance(now);
        self.request(now);
        chance >= drop_chance
    }

    /// The backend has accepted a request.
    pub fn accept(&mut self, now: Duration) {
        self.step(now).accepts += 1.0;
        self.accepts += 1.0;
    }

    /// The chance that a request is dropped.
    fn drop_chance(&mut self, now: Duration) -> f64 {
        self.forget(now);
        ((self.requests - MULTIPLIER * self.accepts) / (self.requests + 1.0)).max(0.0)
    }

    fn request(&mut self, now: Duration) {
        self.step(now).requests += 1.0;
        self.requests += 1.0;
    }

    fn step(&mut self, now: Duration) -> &mut Step {
        let second = now.as_secs();
        if self.steps.back().is_none_or(|last| last.second != second) {
            self.steps.push_back(Step { second, ..Step::default() });
        }
        let last = self.steps.len() - 1;
        &mut self.steps[last]
    }

    fn forget(&mut self, now: Duration) {
        while let Some(step) = self.steps.front().copied()
            && step.second + WINDOW.as_secs() <= now.as_secs()
        {
            self.steps.pop_front();
            self.requests -= step.requests;
            self.accepts -= step.accepts;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_dropped_while_half_is_accepted() {
        let mut throttle = ClientThrottle::default();
        for second in 0..60 {
            let now = Duration::from_secs(second);
            throttle.request(now);
            throttle.request(now);
            throttle.accept(now);
            assert_eq!(throttle.drop_chance(now), 0.0);
        }
    }

    #[test]
    fn when_nothing_is_accepted_a_probe_gets_through_now_and_then() {
        let mut throttle = ClientThrottle::default();
        for _ in 0..99 {
            throttle.request(Duration::ZERO);
        }
        assert_eq!(throttle.drop_chance(Duration::ZERO), 0.99);
    }

    #[test]
    fn what_is_two_minutes_old_is_forgotten() {
        let mut throttle = ClientThrottle::default();
        throttle.request(Duration::ZERO);
        assert!(throttle.drop_chance(Duration::from_secs(119)) > 0.0);
        assert_eq!(throttle.drop_chance(Duration::from_secs(120)), 0.0);
    }

    #[test]
    fn it_sends_about_k_times_what_is_accepted() {
        let mut throttle = ClientThrottle::default();
        let (mut sent, mut accepted) = (0_u32, 0_u32);
        for number in 0..6_000_u32 {
            let now = Duration::from_millis(10) * number;
            // Spread evenly over 0..1.
            if throttle.lets_out(now, f64::from(number * 7_919 % 10_007) / 10_007.0) {
                sent += 1;
                // The backend takes one request in ten of those that are wanted.
                if number / 10 > accepted {
                    accepted += 1;
                    throttle.accept(now);
                }
            }
        }
        let ratio = f64::from(sent) / f64::from(accepted);
        assert!((1.8..2.3).contains(&ratio), "{sent} sent, {accepted} accepted");
    }

    #[test]
    fn it_forgets_after_two_minutes() {
        let mut throttle = ClientThrottle::default();
        for _ in 0..100 {
            throttle.lets_out(Duration::ZERO, 0.0);
        }
        assert!(!throttle.lets_out(Duration::ZERO, 0.9));
        assert!(throttle.lets_out(WINDOW, 0.0));
    }
}
