//! Addresses that poll, and how many clients each stands for.

use std::time::{Duration, Instant};

/// Clients without a stream poll at least this often.
pub(super) const POLL_PERIOD: Duration = Duration::from_secs(30);

/// A polling address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Poller {
    pub(super) last: Instant,
    pub(super) version: u64,
    /// Start of the current counting period, and the polls in it and in the previous one.
    period: Instant,
    polls: u32,
    polls_before: u32,
}

impl Poller {
    pub(super) fn new(now: Instant) -> Self {
        Self { last: now, version: 0, period: now, polls: 0, polls_before: 0 }
    }

    pub(super) fn polled(&mut self, version: u64, now: Instant) {
        let periods = now.duration_since(self.period).as_secs() / POLL_PERIOD.as_secs();
        if periods > 0 {
            self.polls_before = if periods == 1 { self.polls } else { 0 };
            (self.period, self.polls) = (now, 0);
        }
        self.polls = self.polls.saturating_add(1);
        (self.last, self.version) = (now, version);
    }

    /// Upper bound of the number of clients: each poll in a period may come from another one.
    pub(super) fn clients(&self) -> u32 {
        if self.is_recent() { self.polls.max(self.polls_before) } else { 0 }
    }

    /// Whether it can be expected to poll again.
    pub(super) fn is_recent(&self) -> bool {
        self.last.elapsed() <= 2 * POLL_PERIOD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_polls_do_not_count() {
        let begin = Instant::now();
        let after = |periods: u32| begin + POLL_PERIOD * periods;
        let mut poller = Poller::new(begin);
        (0..9).for_each(|_| poller.polled(1, begin));
        assert_eq!(poller.clients(), 9);
        poller.polled(1, after(1));
        assert_eq!(poller.clients(), 9, "the period before counts as well");
        poller.polled(1, after(2));
        assert_eq!(poller.clients(), 1);
        poller.polled(1, after(9));
        assert_eq!((poller.polls_before, poller.clients()), (0, 1));
    }
}
