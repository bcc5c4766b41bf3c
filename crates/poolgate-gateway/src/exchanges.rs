//! All exchanges with the app: what they hold now, and how those since the start have ended.

use std::{
    sync::{
        Mutex, PoisonError, Weak,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use metrics::{counter, describe_counter, describe_gauge, gauge};
use poolgate_types::{GatewayStatus, UpstreamFailure};
use tokio::time;

use crate::{buffer::Memory, streams::Streams};

const REQUESTS: &str = "poolgate_gateway_requests_total";
const FAILURES: &str = "poolgate_upstream_failures_total";
const STREAMS: &str = "poolgate_gateway_streams";
const BUFFERED: &str = "poolgate_gateway_buffered_bytes";
const LINGERING: &str = "poolgate_gateway_lingering_permits";
/// The outcome of a request that the app has answered.
const OF_THE_APP: &str = "app";
/// The outcome of a request that two servers could understand in different ways.
const REFUSED: &str = "refused";
/// Outcomes that are there from the start, at 0.
const OUTCOMES: [&str; 7] =
    [OF_THE_APP, REFUSED, "rejected", "quota", "open", "upstream_unreachable", "upstream_timeout"];
/// Time between two looks at the gauges.
const LOOK: Duration = Duration::from_secs(1);

/// The exchanges with one app.
#[derive(Debug)]
pub(crate) struct Exchanges {
    pub(crate) streams: Streams,
    pub(crate) memory: Memory,
    pub(crate) lingering: Lingering,
    answered: AtomicU64,
    failed: AtomicU64,
    last_failure: Mutex<Option<(&'static str, Instant)>>,
}

/// Requests that keep their permit for a client that has left.
#[derive(Debug, Default)]
pub(crate) struct Lingering(AtomicU32);

/// One of them.
pub(crate) struct Lingers<'a>(&'a Lingering);

impl Exchanges {
    pub(crate) fn new(max_streams: u32) -> Self {
        Self {
            streams: Streams::new(max_streams),
            memory: Memory::default(),
            lingering: Lingering::default(),
            answered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            last_failure: Mutex::default(),
        }
    }

    /// Counts a request that the app has answered.
    pub(crate) fn answered(&self) {
        self.answered.fetch_add(1, Relaxed);
        counter!(REQUESTS, "outcome" => OF_THE_APP).increment(1);
    }

    /// Counts a request that did not reach the app, or got no answer from it. `kind` says how the app failed, if it did:
    /// an error of `Proxy-Status`.
    pub(crate) fn unanswered(&self, outcome: &'static str, kind: Option<&'static str>) {
        counter!(REQUESTS, "outcome" => outcome).increment(1);
        if let Some(kind) = kind {
            self.failed.fetch_add(1, Relaxed);
            *self.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some((kind, Instant::now()));
            counter!(FAILURES, "kind" => kind).increment(1);
        }
    }

    /// Counts a request that two servers could understand in different ways.
    pub(crate) fn refused(&self) {
        self.unanswered(REFUSED, None);
    }

    /// What the status says of it.
    pub(crate) fn status(&self, upstream: String, trouble: Option<String>) -> GatewayStatus {
        let last = *self.last_failure.lock().unwrap_or_else(PoisonError::into_inner);
        GatewayStatus {
            upstream,
            trouble,
            answered_total: self.answered.load(Relaxed),
            failed_total: self.failed.load(Relaxed),
            last_failure: last
                .map(|(kind, at)| UpstreamFailure { kind: kind.to_owned(), seconds_ago: at.elapsed().as_secs_f64() }),
            streams: self.streams.open_now(),
            max_streams: self.streams.most(),
            buffered_bytes: self.memory.in_use() as u64,
            lingering_permits: self.lingering.now(),
        }
    }
}

impl Lingering {
    pub(crate) fn begin(&self) -> Lingers<'_> {
        self.0.fetch_add(1, Relaxed);
        Lingers(self)
    }

    fn now(&self) -> u32 {
        self.0.load(Relaxed)
    }
}

impl Drop for Lingers<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}

/// Describes the metrics, and sets the gauges for as long as there are exchanges.
pub(crate) async fn look(exchanges: Weak<Exchanges>) {
    describe_counter!(REQUESTS, "Requests to the app, by outcome");
    describe_counter!(FAILURES, "Requests that the app failed to answer, by kind as in Proxy-Status");
    describe_gauge!(STREAMS, "Open event streams and WebSockets");
    describe_gauge!(BUFFERED, "Bytes of answers that were taken from the app and wait for their readers");
    describe_gauge!(LINGERING, "Permits that stay with the app's work for clients that have left");
    for outcome in OUTCOMES {
        counter!(REQUESTS, "outcome" => outcome).absolute(0);
    }
    while let Some(exchanges) = exchanges.upgrade() {
        gauge!(STREAMS).set(f64::from(exchanges.streams.open_now()));
        gauge!(BUFFERED).set(exchanges.memory.in_use() as f64);
        gauge!(LINGERING).set(f64::from(exchanges.lingering.now()));
        drop(exchanges);
        time::sleep(LOOK).await;
    }
}
