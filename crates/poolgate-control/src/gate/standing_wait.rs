//! Whether a queue drains, judged by the wait of its oldest request. [`StandingQueue`](crate::standing_queue) judges by
//! its length.

use std::time::Duration;

/// CoDel's test (Nichols, Jacobson: "Controlling Queue Delay", 2012): a queue whose delay does not fall below a target
/// within an interval is standing; it only adds delay. The test uses the wait of the oldest request, which does not
/// depend on the order of service.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StandingWait {
    standing: bool,
    shortest_wait: Duration,
    interval_end: Duration,
}

impl StandingWait {
    pub(super) fn is_standing(&self) -> bool {
        self.standing
    }

    /// Sets it to not standing; the next interval begins now.
    pub(super) fn restart(&mut self, interval: Duration, now: Duration) {
        *self = Self { standing: false, shortest_wait: Duration::MAX, interval_end: now.saturating_add(interval) };
    }

    /// Takes in the wait of the oldest request, zero for an empty queue. The queue is standing when that stays above
    /// the target for an interval.
    pub(super) fn observe(&mut self, wait: Duration, target: Duration, interval: Duration, now: Duration) {
        if wait.is_zero() {
            self.standing = false;
        }
        // The interval may have become shorter.
        self.interval_end = self.interval_end.min(now.saturating_add(interval));
        if now < self.interval_end {
            self.shortest_wait = self.shortest_wait.min(wait);
            return;
        }
        self.standing = !wait.is_zero() && self.shortest_wait > target;
        self.shortest_wait = wait;
        self.interval_end = now.saturating_add(interval);
    }
}
