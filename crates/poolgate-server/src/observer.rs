//! Receives the pool's reports and passes them to the metrics and to the windows that the control loop reads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use metrics::{Histogram, counter, histogram};
use poolgate_control::WorkSample;
use poolgate_pool::{AcquireError, CloseReason, Observer, Purpose, Work, WriteTrouble};
use tokio::time;

use crate::{
    gate::{RequestTrace, RouteFigures},
    latency::{Interval, Latency},
    telemetry::names,
};

/// Observes a pool for a [`Poolgate`](crate::Poolgate), which installs it in the pool.
#[derive(Clone, Debug)]
pub(crate) struct PoolObserver(Arc<Seen>);

/// How often the histograms are looked up in the metrics recorder.
const LOOK_UP_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Seen {
    acquire_waits: Latency,
    wait_nanos: AtomicU64,
    use_nanos: AtomicU64,
    timeouts: AtomicU64,
    begun: Instant,
    /// Nanoseconds from `begun` to the newest statement that succeeded; 0 before the first.
    answered_nanos: AtomicU64,
    written: AtomicU64,
    read_only: AtomicU64,
    storage_full: AtomicU64,
    blocked: AtomicU64,
    histograms: ArcSwap<Histograms>,
    routes: Arc<RouteFigures>,
}

/// The histograms that are used on each acquire. Looking them up each time would take longer than the acquire.
#[derive(Debug)]
struct Histograms {
    wait_time: Histogram,
    use_time: Histogram,
}

/// Totals since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    /// Time that callers waited for connections, including waits that timed out.
    pub(crate) wait: Duration,
    /// Time that connections were in use.
    pub(crate) in_use: Duration,
    /// Waits that timed out.
    pub(crate) timeouts: u64,
}

impl PoolObserver {
    /// `routes` get the time with connections.
    pub(crate) fn new(routes: Arc<RouteFigures>) -> Self {
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
            histograms: ArcSwap::from_pointee(Histograms { wait_time: Histogram::noop(), use_time: Histogram::noop() }),
            routes,
        }))
    }

    /// Looks the histograms up in the metrics recorder, and again each second: the app may install a recorder later.
    pub(crate) async fn follow_recorder(self) {
        loop {
            self.look_up_histograms();
            time::sleep(LOOK_UP_INTERVAL).await;
        }
    }

    pub(crate) fn look_up_histograms(&self) {
        let pool = names::DEFAULT_POOL;
        let wait_time = histogram!(names::CONNECTION_WAIT_TIME, "pool" => pool);
        let use_time = histogram!(names::CONNECTION_USE_TIME, "pool" => pool);
        self.0.histograms.store(Arc::new(Histograms { wait_time, use_time }));
    }

    pub(crate) fn times(&self) -> Times {
        Times {
            wait: Duration::from_nanos(self.0.wait_nanos.load(Relaxed)),
            in_use: Duration::from_nanos(self.0.use_nanos.load(Relaxed)),
            timeouts: self.0.timeouts.load(Relaxed),
        }
    }

    /// Time since a statement of the app last succeeded.
    pub(crate) fn answered(&self) -> Option<Duration> {
        match self.0.answered_nanos.load(Relaxed) {
            0 => None,
            at => Some(self.0.begun.elapsed().saturating_sub(Duration::from_nanos(at))),
        }
    }

    /// How the app's writes ended since the last reading.
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

impl Observer for PoolObserver {
    fn acquired(&self, pool_wait: Duration) {
        let seen = &*self.0;
        let wait = RequestTrace::connection_in_hand(pool_wait);
        seen.acquire_waits.record(wait);
        seen.wait_nanos.fetch_add(nanos(wait), Relaxed);
        seen.histograms.load().wait_time.record(wait);
    }

    fn released(&self, use_time: Duration, purpose: Option<&Purpose>) {
        self.0.routes.connected(purpose.map(Purpose::route), use_time);
        self.0.use_nanos.fetch_add(nanos(use_time), Relaxed);
        self.0.histograms.load().use_time.record(use_time);
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
        histogram!(names::CONNECTION_CREATE_TIME, "pool" => names::DEFAULT_POOL).record(duration);
        counter!(names::CONNECTIONS_OPENED, "pool" => names::DEFAULT_POOL).increment(1);
    }

    fn timed_out(&self, wait: Duration) {
        self.0.timeouts.fetch_add(1, Relaxed);
        self.0.wait_nanos.fetch_add(nanos(wait), Relaxed);
        counter!(names::CONNECTION_TIMEOUTS, "pool" => names::DEFAULT_POOL).increment(1);
    }

    fn connect_failed(&self, error: &AcquireError) {
        counter!(names::CONNECTIONS_FAILED, "pool" => names::DEFAULT_POOL).increment(1);
        // Frequent while the database is down; the monitor logs the change of state.
        tracing::debug!(%error, "Database connection could not be opened");
    }

    fn closed(&self, reason: CloseReason) {
        tracing::trace!(reason = reason.as_str(), "Database connection closed");
        counter!(names::CONNECTIONS_CLOSED, "pool" => names::DEFAULT_POOL, "reason" => reason.as_str()).increment(1);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
