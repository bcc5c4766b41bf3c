//! Results of a load's users: counts since its start, rates and latencies of the last seconds.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use poolgate_types::Percentiles;

use super::{LoadReport, LoadRequest, LoadState};

/// The window of the report's rates: 5 seconds in steps of half a second.
const STEP: Duration = Duration::from_millis(500);
const STEPS: u64 = 10;

/// Latencies are recorded in microseconds with two significant digits, up to a minute.
const LONGEST_MICROS: u64 = 60_000_000;
const SIGNIFICANT_DIGITS: u8 = 2;

/// Outcome of a request that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Answered 2xx in time, this long after the user's attempt to send.
    Succeeded(Duration),
    /// Answered 503 or 429.
    Rejected,
    /// All other outcomes.
    Failed,
}

/// Collects the results of all users of a load.
#[derive(Debug)]
pub(super) struct Recorder {
    request: LoadRequest,
    started: Instant,
    figures: Mutex<Figures>,
}

#[derive(Debug)]
struct Figures {
    wanted: u64,
    sent: u64,
    given_up: u64,
    queued: u64,
    /// Totals since the start.
    overall: Slot,
    /// A ring with one slot per step of the window.
    slots: [Slot; STEPS as usize],
    /// Time from the start to the end of the load.
    ended: Option<Duration>,
}

/// Outcomes of one step.
#[derive(Debug)]
struct Slot {
    step: u64,
    succeeded: u64,
    rejected: u64,
    failed: u64,
    latency: Histogram<u32>,
}

impl Recorder {
    pub(super) fn new(request: LoadRequest, started: Instant) -> Self {
        let slots = std::array::from_fn(|_| Slot::new());
        let overall = Slot::new();
        let figures = Figures { wanted: 0, sent: 0, given_up: 0, queued: 0, overall, slots, ended: None };
        Self { request, started, figures: Mutex::new(figures) }
    }

    /// A user tries to send a request.
    pub(super) fn wanted(&self) {
        self.lock().wanted += 1;
    }

    /// The user's throttle queues it.
    pub(super) fn queued(&self) {
        self.lock().queued += 1;
    }

    /// It was sent, from the queue or at once.
    pub(super) fn sent(&self, was_queued: bool) {
        let mut figures = self.lock();
        figures.leave_queue(was_queued);
        figures.sent += 1;
    }

    /// The user's throttle rejected it, from the queue or at once.
    pub(super) fn given_up(&self, was_queued: bool) {
        let mut figures = self.lock();
        figures.leave_queue(was_queued);
        figures.given_up += 1;
    }

    /// A request has ended.
    pub(super) fn ended(&self, ending: Ending) {
        let step = step_of(self.started.elapsed());
        let mut figures = self.lock();
        figures.overall.count(ending);
        let slot = &mut figures.slots[(step % STEPS) as usize];
        if slot.step != step {
            slot.clear(step);
        }
        slot.count(ending);
    }

    /// The load has ended: the figures stay, and queued requests will never be sent.
    pub(super) fn finish(&self) {
        let elapsed = self.started.elapsed();
        let mut figures = self.lock();
        figures.given_up += std::mem::take(&mut figures.queued);
        figures.ended.get_or_insert(elapsed);
    }

    /// The report with rates and latencies over the last 5 seconds.
    pub(super) fn report(&self) -> LoadReport {
        let figures = self.lock();
        let elapsed = figures.ended.unwrap_or_else(|| self.started.elapsed());
        let newest = step_of(elapsed);
        let oldest = newest.saturating_sub(STEPS - 1);
        let mut window = Slot::new();
        for slot in figures.slots.iter().filter(|slot| (oldest..=newest).contains(&slot.step)) {
            window.add(slot);
        }
        let window_seconds = (elapsed - STEP * oldest as u32).as_secs_f64();
        self.describe(&figures, elapsed, &window, window_seconds)
    }

    /// The same with rates and latencies over the whole load.
    pub(super) fn overall(&self) -> LoadReport {
        let figures = self.lock();
        let elapsed = figures.ended.unwrap_or_else(|| self.started.elapsed());
        self.describe(&figures, elapsed, &figures.overall, elapsed.as_secs_f64())
    }

    fn describe(&self, figures: &Figures, elapsed: Duration, window: &Slot, window_seconds: f64) -> LoadReport {
        let ended = window.succeeded + window.rejected + window.failed;
        let share = |part: u64, whole: f64| if whole > 0.0 { part as f64 / whole } else { 0.0 };
        LoadReport {
            state: if figures.ended.is_some() { LoadState::Ended } else { LoadState::Running },
            request: Some(self.request.clone()),
            elapsed_seconds: elapsed.as_secs_f64(),
            wanted: figures.wanted,
            sent: figures.sent,
            succeeded: figures.overall.succeeded,
            rejected: figures.overall.rejected,
            given_up: figures.given_up,
            failed: figures.overall.failed,
            queued: figures.queued,
            success_rate: if ended == 0 { 1.0 } else { share(window.succeeded, ended as f64) },
            goodput_per_second: share(window.succeeded, window_seconds),
            latency_ms: window.percentiles(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Figures> {
        // No code panics under the lock; even then the counts are no reason to stop a server.
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Figures {
    fn leave_queue(&mut self, was_queued: bool) {
        self.queued = self.queued.saturating_sub(u64::from(was_queued));
    }
}

impl Slot {
    fn new() -> Self {
        let latency = Histogram::new_with_bounds(1, LONGEST_MICROS, SIGNIFICANT_DIGITS).expect("constant bounds");
        Self { step: 0, succeeded: 0, rejected: 0, failed: 0, latency }
    }

    fn clear(&mut self, step: u64) {
        (self.step, self.succeeded, self.rejected, self.failed) = (step, 0, 0, 0);
        self.latency.reset();
    }

    fn count(&mut self, ending: Ending) {
        match ending {
            Ending::Succeeded(latency) => {
                self.succeeded += 1;
                self.latency.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(1));
            }
            Ending::Rejected => self.rejected += 1,
            Ending::Failed => self.failed += 1,
        }
    }

    fn add(&mut self, other: &Self) {
        self.succeeded += other.succeeded;
        self.rejected += other.rejected;
        self.failed += other.failed;
        self.latency.add(&other.latency).expect("histograms of the same bounds");
    }

    fn percentiles(&self) -> Percentiles {
        let at = |quantile| self.latency.value_at_quantile(quantile) as f64 / 1000.0;
        Percentiles { p50: at(0.50), p95: at(0.95), p99: at(0.99) }
    }
}

fn step_of(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_millis() / STEP.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorder(age: Duration) -> Recorder {
        let request = LoadRequest { users: 1, requests_per_second: 1.0, hold_ms: 0, poolgate: true, seconds: 60 };
        Recorder::new(request, Instant::now().checked_sub(age).expect("the machine is up for longer"))
    }

    #[test]
    fn each_request_is_counted_once() {
        let recorder = recorder(Duration::from_secs(2));
        for _ in 0..6 {
            recorder.wanted();
        }
        recorder.sent(false);
        recorder.queued();
        recorder.sent(true);
        recorder.queued();
        recorder.given_up(true);
        recorder.given_up(false);
        recorder.queued();
        recorder.queued();
        recorder.ended(Ending::Succeeded(Duration::from_millis(20)));
        recorder.ended(Ending::Rejected);

        let report = recorder.report();
        assert_eq!((report.wanted, report.sent, report.given_up, report.queued), (6, 2, 2, 2));
        assert_eq!((report.succeeded, report.rejected, report.failed), (1, 1, 0));
        assert_eq!(report.success_rate, 0.5);
        assert!((report.latency_ms.p50 - 20.0).abs() < 0.5, "{:?}", report.latency_ms);
        assert!((report.goodput_per_second - 0.5).abs() < 0.01, "1 in 2 s: {}", report.goodput_per_second);

        recorder.finish();
        let report = recorder.report();
        assert_eq!((report.state, report.queued, report.given_up), (LoadState::Ended, 0, 4));
        assert_eq!(report.wanted, report.sent + report.given_up);
    }

    #[test]
    fn the_window_forgets_what_is_older_than_five_seconds() {
        let mut recorder = recorder(Duration::ZERO);
        recorder.ended(Ending::Failed);
        assert_eq!(recorder.report().success_rate, 0.0);
        // The same recorder, six seconds later.
        recorder.started -= Duration::from_secs(6);
        assert_eq!(recorder.report().success_rate, 1.0);
        assert_eq!(recorder.overall().success_rate, 0.0);
        recorder.ended(Ending::Succeeded(Duration::from_millis(1)));
        assert_eq!(recorder.report().success_rate, 1.0);
        assert_eq!(recorder.report().failed, 1);
    }

    #[test]
    fn an_idle_window_has_no_failures() {
        let report = recorder(Duration::from_secs(1)).report();
        assert_eq!((report.success_rate, report.goodput_per_second), (1.0, 0.0));
        assert_eq!(report.latency_ms, Percentiles::default());
    }
}
