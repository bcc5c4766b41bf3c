//! Waits for a connection in the last two seconds, as the server's monitor reports them.

use std::{collections::VecDeque, time::Duration};

const WINDOW: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(crate) struct RecentWaits {
    recent: VecDeque<(Duration, Duration)>,
}

impl RecentWaits {
    pub(crate) fn add(&mut self, wait: Duration, now: Duration) {
        self.recent.push_back((now, wait));
    }

    /// Their 99th percentile; zero when there are none.
    pub(crate) fn p99(&mut self, now: Duration) -> Duration {
        while self.recent.front().is_some_and(|(at, _)| *at + WINDOW < now) {
            self.recent.pop_front();
        }
        let mut waits: Vec<Duration> = self.recent.iter().map(|(_, wait)| *wait).collect();
        let rank = waits.len().saturating_sub(1) * 99 / 100;
        if waits.is_empty() { Duration::ZERO } else { *waits.select_nth_unstable(rank).1 }
    }
}
