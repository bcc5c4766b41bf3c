//! Receives the pool's events: feeds the metrics and the windows of the control loop.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use metrics::{Counter, Histogram};
use poolgate_control::WorkSample;
use poolgate_pool::{AcquireError, CloseReason, Observer, Work, WriteTrouble};

use crate::{
    gate::RequestTrace,
    latency::{Interval, Latency},
    telemetry::names,
};

/// Watches a pool for a [`Poolgate`](crate::Poolgate): pass the same observer to both builders, the pool's and
/// Poolgate's.
///
/// Create it after installing a metrics recorder, or its histograms are lost.
#[derive(Clone, Debug)]
pub struct PoolObserver(Arc<Seen>);

#[derive(Debug)]
struct Seen {
    acquire_waits: Latency,
    wait_nanos: AtomicU64,
    use_nanos: AtomicU64,
    timeouts: AtomicU64,
    begun: Instant,
    /// Nanoseconds from `begun` to the last successful statement; 0 before the first one.
    answered_nanos: AtomicU64,
    written: AtomicU64,
    read_only: AtomicU64,
    storage_full: AtomicU64,
    blocked: AtomicU64,
    wait_time: Histogram,
    use_time: Histogram,
    create_time: Histogram,
    timeouts_total: Counter,
    opened_total: Counter,
    failed_total: Counter,
    closed_total: [(CloseReason, Counter); CloseReason::ALL.len()],
}

/// Totals since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    /// Total wait for connections, including waits that failed.
    pub(crate) wait: Duration,
    /// Total time of connections in use.
    pub(crate) in_use: Duration,
    /// Callers that gave up waiting.
    pub(crate) timeouts: u64,
}

impl PoolObserver {
    /// An observer whose metrics carry this pool name.
    pub fn new(pool: &str) -> Self {
        let label = || [("pool", pool.to_owned())];
        Self(Arc::new(Seen {
            acquire_waits: Latency::default(),
            wait_nanos: AtomicU64::new(0),
            use_nanos: AtomicU64::new(0),
            timeouts: AtomicU64::new(0),
            begun: Instant::now(),
            answered_nanos: AtomicU64::new(0),
            written: AtomicU64::new(0),
            read_only: AtomicU64::new(0),
            storage_full: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            wait_time: metrics::histogram!(names::CONNECTION_WAIT_TIME, &label()),
            use_time: metrics::histogram!(names::CONNECTION_USE_TIME, &label()),
            create_time: metrics::histogram!(names::CONNECTION_CREATE_TIME, &label()),
            timeouts_total: metrics::counter!(names::CONNECTION_TIMEOUTS, &label()),
            opened_total: metrics::counter!(names::CONNECTIONS_OPENED, &label()),
            failed_total: metrics::counter!(names::CONNECTIONS_FAILED, &label()),
            closed_total: CloseReason::ALL.map(|reason| {
                let labels = [("pool", pool.to_owned()), ("reason", reason.as_str().to_owned())];
                (reason, metrics::counter!(names::CONNECTIONS_CLOSED, &labels))
            }),
        }))
    }

    /// An observer without a pool and without metrics.
    pub(crate) fn unheard() -> Self {
        metrics::with_local_recorder(&metrics::NoopRecorder, Self::default)
    }

    pub(crate) fn times(&self) -> Times {
        Times {
            wait: Duration::from_nanos(self.0.wait_nanos.load(Relaxed)),
            in_use: Duration::from_nanos(self.0.use_nanos.load(Relaxed)),
            timeouts: self.0.timeouts.load(Relaxed),
        }
    }

    /// Time since the app's last successful statement.
    pub(crate) fn answered(&self) -> Option<Duration> {
        match self.0.answered_nanos.load(Relaxed) {
            0 => None,
            at => Some(self.0.begun.elapsed().saturating_sub(Duration::from_nanos(at))),
        }
    }

    /// Results of the app's writes since the last reading.
    pub(crate) fn take_work(&self) -> WorkSample {
        let take = |counter: &AtomicU64| counter.swap(0, Relaxed);
        WorkSample {
            written: take(&self.0.written),
            read_only: take(&self.0.read_only),
            storage_full: take(&self.0.storage_full),
            blocked: take(&self.0.blocked),
            ..WorkSample::default()
        }
    }

    /// The acquire waits since the last reading.
    pub(crate) fn take_acquire_waits(&self) -> Interval {
        self.0.acquire_waits.take()
    }
}

impl Default for PoolObserver {
    fn default() -> Self {
        Self::new(names::DEFAULT_POOL)
    }
}

impl Observer for PoolObserver {
    fn acquired(&self, pool_wait: Duration) {
        let seen = &*self.0;
        let wait = RequestTrace::connection_in_hand(pool_wait);
        seen.acquire_waits.record(wait);
        seen.wait_nanos.fetch_add(nanos(wait), Relaxed);
        seen.wait_time.record(wait);
    }

    fn released(&self, use_time: Duration) {
        self.0.use_nanos.fetch_add(nanos(use_time), Relaxed);
        self.0.use_time.record(use_time);
    }

    fn worked(&self, work: Work) {
        let seen = &*self.0;
        if work.answered {
            seen.answered_nanos.fetch_max(nanos(seen.begun.elapsed()).max(1), Relaxed);
        }
        let counter = match work.write {
            None => return,
            Some(Ok(())) => &seen.written,
            Some(Err(WriteTrouble::ReadOnly)) => &seen.read_only,
            Some(Err(WriteTrouble::StorageFull)) => &seen.storage_full,
            Some(Err(WriteTrouble::Blocked)) => &seen.blocked,
            Some(Err(_)) => return,
        };
        counter.fetch_add(1, Relaxed);
    }

    fn created(&self, duration: Duration) {
        self.0.create_time.record(duration);
        self.0.opened_total.increment(1);
    }

    fn timed_out(&self, wait: Duration) {
        self.0.timeouts.fetch_add(1, Relaxed);
        self.0.wait_nanos.fetch_add(nanos(wait), Relaxed);
        self.0.timeouts_total.increment(1);
    }

    fn connect_failed(&self, error: &AcquireError) {
        self.0.failed_total.increment(1);
        // Frequent while a database is down; the monitor logs the change of state.
        tracing::debug!(%error, "Cannot open a database connection");
    }

    fn closed(&self, reason: CloseReason) {
        tracing::trace!(reason = reason.as_str(), "Database connection closed");
        if let Some((_, closed)) = self.0.closed_total.iter().find(|(known, _)| *known == reason) {
            closed.increment(1);
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
