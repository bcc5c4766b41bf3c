//! What all users met, second by second.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use tokio::time;

use crate::{
    cpu,
    wire::{LoadFigures, LoadSecond, Moment, Quantiles, UserFigures},
};

/// Latencies are kept in microseconds, to three significant digits, up to this.
const LONGEST_MICROS: u64 = 10_000_000;

#[derive(Debug)]
pub(super) struct Tally {
    started: Instant,
    window: (Instant, Instant),
    patience: Duration,
    counts: Mutex<Counts>,
}

#[derive(Debug)]
struct Counts {
    seconds: Vec<LoadSecond>,
    latency: Histogram<u32>,
    wanted_in_time: u64,
    served_in_time: u64,
    cpu_seconds: f64,
    cpu_wait_seconds: f64,
}

impl Tally {
    /// Of a load that starts at `started`, with a window in seconds since then; users lose interest after `patience`.
    #[expect(clippy::expect_used, reason = "the histogram's bounds are constants")]
    pub(super) fn new(started: Instant, (from, to): (u32, u32), patience: Duration) -> Self {
        let latency = Histogram::new_with_bounds(1, LONGEST_MICROS, 3).expect("possible bounds");
        let counts = Counts {
            seconds: Vec::new(),
            latency,
            wanted_in_time: 0,
            served_in_time: 0,
            cpu_seconds: 0.0,
            cpu_wait_seconds: 0.0,
        };
        let after = |seconds: u32| started + Duration::from_secs(seconds.into());
        Self { started, window: (after(from), after(to)), patience, counts: Mutex::new(counts) }
    }

    pub(super) fn started(&self) -> Instant {
        self.started
    }

    pub(super) fn is_in_window(&self, moment: Instant) -> bool {
        (self.window.0..self.window.1).contains(&moment)
    }

    pub(super) fn wanted(&self, wanted: Instant) {
        let in_time = self.is_in_time(wanted);
        self.count(wanted, |counts, second| {
            second.wanted += 1;
            counts.wanted_in_time += u64::from(in_time);
        });
    }

    pub(super) fn sent(&self) {
        self.count(Instant::now(), |_, second| second.sent += 1);
    }

    pub(super) fn held_back(&self) {
        self.count(Instant::now(), |_, second| second.held_back += 1);
    }

    pub(super) fn rejected(&self) {
        self.count(Instant::now(), |_, second| second.rejected += 1);
    }

    pub(super) fn over_quota(&self) {
        self.count(Instant::now(), |_, second| {
            second.rejected += 1;
            second.over_quota += 1;
        });
    }

    pub(super) fn error(&self) {
        self.count(Instant::now(), |_, second| second.errors += 1);
    }

    pub(super) fn unanswered(&self) {
        self.count(Instant::now(), |_, second| second.unanswered += 1);
    }

    pub(super) fn failed(&self) {
        self.count(Instant::now(), |_, second| second.failed += 1);
    }

    pub(super) fn served(&self, wanted: Instant) {
        let now = Instant::now();
        let in_time = self.is_in_time(wanted);
        let in_window = self.is_in_window(now);
        self.count(now, |counts, second| {
            second.served += 1;
            counts.served_in_time += u64::from(in_time);
            if in_window {
                let micros = now.saturating_duration_since(wanted).as_micros() as u64;
                counts.latency.saturating_record(micros.max(1));
            }
        });
    }

    /// Returns at the window's end; measures what this process uses until then.
    pub(super) async fn measure_processor(&self) {
        time::sleep_until(self.window.0.into()).await;
        let (used, waited) = (cpu::time_used(), cpu::time_waited());
        time::sleep_until(self.window.1.into()).await;
        let mut counts = self.lock();
        counts.cpu_seconds = cpu::time_used().saturating_sub(used).as_secs_f64();
        counts.cpu_wait_seconds = cpu::time_waited().saturating_sub(waited).as_secs_f64();
    }

    pub(super) fn figures(&self, started: Moment, users: Vec<UserFigures>) -> LoadFigures {
        let counts = self.lock();
        let at = |quantile| counts.latency.value_at_quantile(quantile) as f64 / 1000.0;
        LoadFigures {
            started,
            seconds: counts.seconds.clone(),
            users,
            latency_ms: Quantiles { p50: at(0.5), p99: at(0.99) },
            wanted_in_time: counts.wanted_in_time,
            served_in_time: counts.served_in_time,
            cpu_seconds: counts.cpu_seconds,
            cpu_wait_seconds: counts.cpu_wait_seconds,
        }
    }

    /// In the window, and with its deadline in it.
    fn is_in_time(&self, wanted: Instant) -> bool {
        self.is_in_window(wanted) && wanted + self.patience < self.window.1
    }

    fn count(&self, at: Instant, count: impl FnOnce(&mut Counts, &mut LoadSecond)) {
        let index = at.saturating_duration_since(self.started).as_secs() as usize;
        let mut counts = self.lock();
        if counts.seconds.len() <= index {
            counts.seconds.resize(index + 1, LoadSecond::default());
        }
        let mut second = counts.seconds.get(index).copied().unwrap_or_default();
        count(&mut counts, &mut second);
        if let Some(slot) = counts.seconds.get_mut(index) {
            *slot = second;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
