//! A model of a database: a number of connections, and a service time for each request.
//!
//! Server and database share a processor. While the server works on an arrival the database stands still, so rejected
//! requests slow down the served ones: this is the cost of a rejection.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use crate::{
    random::Random,
    scenario::{Database as Settings, Distribution},
};

/// The most processor time that arrivals may be waiting for; beyond it the operating system refuses them.
const LONGEST_BACKLOG: Duration = Duration::from_millis(500);
/// How long a request waits for a database that is gone.
const REFUSED_AFTER: Duration = Duration::from_millis(5);

/// The database and the processor that it shares with the server.
#[derive(Debug)]
pub(crate) struct Database {
    settings: Settings,
    random: Random,
    slowdown: f64,
    outage: bool,
    /// Until then the processor works for the server.
    busy_until: Duration,
    /// The database's own clock, which stands still while the processor works for the server, and when it was read.
    worked: Duration,
    read_at: Duration,
    running: BinaryHeap<Reverse<Job>>,
}

/// A request that the database works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Job {
    /// On the database's clock.
    ends: Duration,
    request: u32,
    reached: bool,
}

impl Database {
    pub(crate) fn new(settings: Settings, random: Random) -> Self {
        Self {
            settings,
            random,
            slowdown: 1.0,
            outage: false,
            busy_until: Duration::ZERO,
            worked: Duration::ZERO,
            read_at: Duration::ZERO,
            running: BinaryHeap::new(),
        }
    }

    /// The server spends processor time on an arrival. Returns when it is done, or `None` when it is too far behind.
    pub(crate) fn occupy(&mut self, cost: Duration, now: Duration) -> Option<Duration> {
        self.read_clock(now);
        let begins = self.busy_until.max(now);
        if begins - now > LONGEST_BACKLOG {
            return None;
        }
        self.busy_until = begins + cost;
        Some(self.busy_until)
    }

    /// Starts work on a request.
    pub(crate) fn start(&mut self, request: u32, now: Duration) {
        self.read_clock(now);
        let takes = if self.outage { REFUSED_AFTER } else { self.service_time() };
        self.running.push(Reverse(Job { ends: self.worked + takes, request, reached: !self.outage }));
    }

    /// A request that has ended by now, and whether the database answered it.
    pub(crate) fn finish(&mut self, now: Duration) -> Option<(u32, bool)> {
        self.read_clock(now);
        let Reverse(job) = *self.running.peek()?;
        if job.ends > self.worked {
            return None;
        }
        self.running.pop();
        Some((job.request, job.reached))
    }

    /// When the next request ends, unless the server gets more to do before.
    pub(crate) fn next_end(&self, now: Duration) -> Option<Duration> {
        let Reverse(job) = self.running.peek()?;
        Some(now.max(self.busy_until) + job.ends.saturating_sub(self.worked))
    }

    /// From now on everything takes `factor` times as long.
    pub(crate) fn slow_down(&mut self, factor: f64) {
        self.slowdown = factor;
    }

    /// Stops or starts answering. Requests in work fail.
    pub(crate) fn set_outage(&mut self, outage: bool, now: Duration) {
        self.read_clock(now);
        self.outage = outage;
        if outage {
            let ends = self.worked + REFUSED_AFTER;
            let jobs = std::mem::take(&mut self.running).into_iter();
            self.running = jobs.map(|Reverse(job)| Reverse(Job { ends, reached: false, ..job })).collect();
        }
    }

    pub(crate) fn answers(&self) -> bool {
        !self.outage
    }

    /// Drops the requests in work, because the server is gone, and returns them.
    pub(crate) fn abandon(&mut self) -> impl Iterator<Item = u32> {
        std::mem::take(&mut self.running).into_sorted_vec().into_iter().map(|Reverse(job)| job.request)
    }

    /// The requests in work.
    pub(crate) fn running(&self) -> impl Iterator<Item = u32> {
        self.running.iter().map(|Reverse(job)| job.request)
    }

    fn read_clock(&mut self, now: Duration) {
        let from = self.read_at.max(self.busy_until);
        self.worked += now.saturating_sub(from);
        self.read_at = self.read_at.max(now);
    }

    fn service_time(&mut self) -> Duration {
        let shape = match self.settings.distribution {
            Distribution::Fixed => 1.0,
            Distribution::Exponential => self.random.exponential(),
            Distribution::Bimodal if self.random.unit() < 0.1 => 5.5,
            Distribution::Bimodal => 0.5,
        };
        let mean = self.settings.mean_ms / 1000.0 * self.slowdown;
        crate::random::seconds(shape * mean * self.contention())
    }

    /// Beyond the knee throughput falls as concurrency rises: service times grow by the square of the excess.
    fn contention(&self) -> f64 {
        let Some(knee) = self.settings.knee else { return 1.0 };
        let crowd = (self.running.len() + 1) as f64 / f64::from(knee.max(1));
        if crowd > 1.0 { crowd * crowd } else { 1.0 }
    }
}
