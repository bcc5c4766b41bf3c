//! The newest versions of the config, and since when they are known.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Versions whose time is remembered. A client that is further behind counts as late by the oldest of them.
const MOST: usize = 64;

/// Rising versions, the newest at the back.
#[derive(Debug, Default)]
pub(super) struct Versions(VecDeque<(u64, Instant)>);

impl Versions {
    /// The newest one; 0 before the first.
    pub(super) fn newest(&self) -> u64 {
        self.0.back().map_or(0, |(version, _)| *version)
    }

    /// Takes in a version. `true`: it is newer than all before.
    pub(super) fn learn(&mut self, version: u64, now: Instant) -> bool {
        let is_news = version > self.newest();
        if is_news {
            if self.0.len() >= MOST {
                self.0.pop_front();
            }
            self.0.push_back((version, now));
        }
        is_news
    }

    /// Begins anew with a lower version: that of another server, which counts its own.
    pub(super) fn begin_with(&mut self, version: u64, now: Instant) {
        self.0.clear();
        self.0.push_back((version, now));
    }

    /// For how long there has been a newer version than the one that a client has, if it has any. A version above the
    /// newest is another server's, and says nothing.
    pub(super) fn lag(&self, version: Option<u64>, now: Instant) -> Duration {
        let known = version.filter(|version| *version <= self.newest());
        let first_newer = known.map_or(0, |known| self.0.partition_point(|(version, _)| *version <= known));
        self.0.get(first_newer).map_or(Duration::ZERO, |(_, at)| now.saturating_duration_since(*at))
    }
}
