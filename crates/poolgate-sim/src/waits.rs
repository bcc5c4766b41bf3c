//! Waits for a connection in the last two seconds, as the server's monitor reports them.

use std::{collections::VecDeque, time::Duration};

use poolgate_control::WaitSample;

const WINDOW: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(crate) struct RecentWaits {
    recent: VecDeque<(Duration, Duration)>,
    least: Option<Duration>,
}

impl RecentWaits {
    pub(crate) fn add(&mut self, wait: Duration, now: Duration) {
        self.recent.push_back((now, wait));
        self.least = Some(self.least.map_or(wait, |least| least.min(wait)));
    }

    pub(crate) fn sample(&mut self, now: Duration) -> WaitSample {
        while self.recent.front().is_some_and(|(at, _)| *at + WINDOW < now) {
            self.recent.pop_front();
        }
        let mut waits: Vec<Duration> = self.recent.iter().map(|(_, wait)| *wait).collect();
        let rank = waits.len().saturating_sub(1) * 99 / 100;
        let p99 = if waits.is_empty() { Duration::ZERO } else { *waits.select_nth_unstable(rank).1 };
        WaitSample { p99, min: self.least.take().unwrap_or_default() }
    }
}
