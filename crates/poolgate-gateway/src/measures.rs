//! The gateway's metrics.

use std::{
    sync::{
        Weak,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use metrics::{counter, describe_counter, describe_gauge, gauge};
use tokio::time;

use crate::gateway::Parts;

const REQUESTS: &str = "poolgate_gateway_requests_total";
const FAILURES: &str = "poolgate_upstream_failures_total";
const STREAMS: &str = "poolgate_gateway_streams";
const BUFFERED: &str = "poolgate_gateway_buffered_bytes";
const LINGERING: &str = "poolgate_gateway_lingering_permits";
/// The outcome of a request that the app has answered.
pub(crate) const OF_THE_APP: &str = "app";
/// The outcome of a request that two servers could understand in different ways.
pub(crate) const REFUSED: &str = "refused";
/// Outcomes that are there from the start, at 0.
const OUTCOMES: [&str; 7] =
    [OF_THE_APP, REFUSED, "rejected", "quota", "open", "upstream_unreachable", "upstream_timeout"];
/// Time between two looks at the gauges.
const LOOK: Duration = Duration::from_secs(1);

/// Counts a request that was answered.
pub(crate) fn answered(outcome: &'static str) {
    counter!(REQUESTS, "outcome" => outcome).increment(1);
}

/// Counts a request that the app failed to answer; `kind` is the error of `Proxy-Status`.
pub(crate) fn failed(kind: &'static str) {
    counter!(FAILURES, "kind" => kind).increment(1);
}

/// Requests that keep their permit for a client that has left.
#[derive(Debug, Default)]
pub(crate) struct Lingering(AtomicU32);

/// One of them.
pub(crate) struct Lingers<'a>(&'a Lingering);

impl Lingering {
    pub(crate) fn begin(&self) -> Lingers<'_> {
        self.0.fetch_add(1, Relaxed);
        Lingers(self)
    }
}

impl Drop for Lingers<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}

/// Describes the metrics, and sets the gauges for as long as there is a gateway.
pub(crate) async fn look(parts: Weak<Parts>) {
    describe_counter!(REQUESTS, "Requests to the app, by outcome");
    describe_counter!(FAILURES, "Requests that the app failed to answer, by kind as in Proxy-Status");
    describe_gauge!(STREAMS, "Open event streams and WebSockets");
    describe_gauge!(BUFFERED, "Bytes of answers that were taken from the app and wait for their readers");
    describe_gauge!(LINGERING, "Permits that stay with the app's work for clients that have left");
    for outcome in OUTCOMES {
        counter!(REQUESTS, "outcome" => outcome).absolute(0);
    }
    while let Some(parts) = parts.upgrade() {
        gauge!(STREAMS).set(f64::from(parts.streams.open_now()));
        gauge!(BUFFERED).set(parts.memory.in_use() as f64);
        gauge!(LINGERING).set(f64::from(parts.lingering.0.load(Relaxed)));
        drop(parts);
        time::sleep(LOOK).await;
    }
}
