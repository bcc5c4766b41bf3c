//! The load driver: up to 2,000 native users that call a server over loopback HTTP.
//!
//! Each user is a Poisson process of its own (open loop: it does not wait for answers). Latency counts from the user's
//! attempt to send, so that waiting in any queue shows. With `poolgate` each user runs the browsers' throttle engine
//! and follows the config on its own event stream, so the server counts it as a live client.
//!
//! Every request is either sent or given up, and every sent one succeeds, is rejected or fails. Only requests that are
//! in flight at the end of the load have no outcome.

mod recorder;
mod report;
mod user;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use poolgate_native::HttpClient;
use tokio::{sync::Semaphore, task::JoinSet, time};
use tokio_util::sync::CancellationToken;

pub use self::report::{LoadReport, LoadRequest, LoadState};
use self::{recorder::Recorder, user::Plan};
use super::{Random, routes};

/// Maximum number of unanswered requests of all users together.
const MAX_OUTSTANDING: usize = 4_096;

/// The users appear one by one within this time, like visitors.
const ARRIVAL: Duration = Duration::from_secs(1);

/// How long the end of a load waits for answers.
const GRACE: Duration = Duration::from_secs(2);

/// A load, running or ended.
#[derive(Clone, Debug)]
pub struct Load {
    plan: Arc<Plan>,
    stop: CancellationToken,
    ended: CancellationToken,
}

/// A value of a [`LoadRequest`] is out of range.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("`{field}` must be from {least} to {greatest}")]
pub struct InvalidLoad {
    /// The field.
    pub field: &'static str,
    /// The smallest valid value.
    pub least: f64,
    /// The largest valid value.
    pub greatest: f64,
}

impl Load {
    /// Starts users that call the server at `target`, which serves the lab routes. They stop at the end of the load, or
    /// earlier when `shutdown` is cancelled. Equal seeds give equal demand.
    ///
    /// Must be called in a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`InvalidLoad`] if a value of the request is out of range.
    pub fn start(
        target: SocketAddr,
        request: LoadRequest,
        seed: u64,
        shutdown: &CancellationToken,
    ) -> Result<Self, InvalidLoad> {
        check(&request)?;
        let users = request.users;
        let started = Instant::now();
        let plan = Arc::new(Plan {
            http: HttpClient::new(target),
            path: format!("{}?hold_ms={}", routes::LAB_HOLD, request.hold_ms),
            rate: request.requests_per_second / f64::from(users),
            poolgate: request.poolgate,
            ends: started + Duration::from_secs(request.seconds.into()),
            recorder: Recorder::new(request, started),
            outstanding: Semaphore::new(MAX_OUTSTANDING),
        });
        let load = Self { plan, stop: shutdown.child_token(), ended: CancellationToken::new() };
        tokio::spawn(load.clone().run(users, seed));
        Ok(load)
    }

    /// The report with rates and latencies over the last 5 seconds.
    pub fn report(&self) -> LoadReport {
        self.plan.recorder.report()
    }

    /// The same with rates and latencies over the whole load.
    pub fn overall(&self) -> LoadReport {
        self.plan.recorder.overall()
    }

    /// Whether users are still sending or waiting for answers.
    pub fn is_running(&self) -> bool {
        !self.ended.is_cancelled()
    }

    /// Stops all users at once; requests in flight are cut off.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.ended().await;
    }

    /// Waits for the end.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    async fn run(self, count: u32, seed: u64) {
        // Wakes the waiters in every case, even after a panic.
        let _ended = self.ended.clone().drop_guard();
        let mut random = Random::new(seed);
        let mut users = JoinSet::new();
        for _ in 0..count {
            let appears_after = ARRIVAL.mul_f64(random.unit());
            users.spawn(user::live(Arc::clone(&self.plan), Random::new(random.next_u64()), appears_after));
        }
        let all = async { while users.join_next().await.is_some() {} };
        tokio::select! {
            () = self.stop.cancelled() => {}
            _ = time::timeout_at((self.plan.ends + GRACE).into(), all) => {}
        }
        users.shutdown().await;
        self.plan.recorder.finish();
    }
}

fn check(request: &LoadRequest) -> Result<(), InvalidLoad> {
    let ranges = [
        ("users", f64::from(request.users), 1.0, 2_000.0),
        ("requests_per_second", request.requests_per_second, 0.1, 10_000.0),
        ("hold_ms", f64::from(request.hold_ms), 0.0, 10_000.0),
        ("seconds", f64::from(request.seconds), 1.0, 600.0),
    ];
    for (field, value, least, greatest) in ranges {
        // Written so that NaN is rejected.
        if !(least..=greatest).contains(&value) {
            return Err(InvalidLoad { field, least, greatest });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use axum::{Router, routing::get};
    use http::StatusCode;

    use super::*;

    fn request(users: u32, requests_per_second: f64, poolgate: bool, seconds: u32) -> LoadRequest {
        LoadRequest { users, requests_per_second, hold_ms: 5, poolgate, seconds }
    }

    /// A server that answers a quarter of the requests with each of 200, 503, 429 and 500.
    async fn moody() -> SocketAddr {
        let count = Arc::new(AtomicU32::new(0));
        let answer = move || {
            let status = match count.fetch_add(1, Ordering::Relaxed) % 4 {
                0 => StatusCode::OK,
                1 => StatusCode::SERVICE_UNAVAILABLE,
                2 => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            std::future::ready(status)
        };
        let app = Router::new().route(routes::LAB_HOLD, get(answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async { axum::serve(listener, app).await });
        address
    }

    #[tokio::test]
    async fn every_request_is_accounted_for() {
        let load =
            Load::start(moody().await, request(20, 200.0, false, 2), 1, &CancellationToken::new()).expect("a load");
        load.ended().await;
        let report = load.report();
        assert_eq!(report.state, LoadState::Ended);
        // 20 users that appear within the first of two seconds make about 300 requests.
        assert!((200..400).contains(&report.wanted), "{report:?}");
        assert_eq!((report.wanted, report.given_up, report.queued), (report.sent, 0, 0));
        assert_eq!(report.sent, report.succeeded + report.rejected + report.failed);
        assert!(report.succeeded.abs_diff(report.failed) <= 1, "{report:?}");
        assert!(report.rejected.abs_diff(2 * report.succeeded) <= 2, "{report:?}");
        assert!((load.overall().success_rate - 0.25).abs() < 0.02, "{:?}", load.overall());
    }

    #[tokio::test]
    async fn a_load_without_a_server_fails_and_ends() {
        // A closed port.
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
        let load = Load::start(free, request(10, 100.0, true, 1), 1, &CancellationToken::new()).expect("a load");
        load.ended().await;
        let report = load.report();
        assert!(report.wanted > 0 && report.succeeded == 0 && report.rejected == 0, "{report:?}");
        assert_eq!(report.wanted, report.sent + report.given_up);
    }

    #[tokio::test]
    async fn the_servers_shutdown_ends_it_at_once() {
        let shutdown = CancellationToken::new();
        let load = Load::start(moody().await, request(10, 100.0, true, 600), 1, &shutdown).expect("a load");
        time::sleep(Duration::from_millis(300)).await;
        assert!(load.is_running());
        shutdown.cancel();
        time::timeout(Duration::from_secs(1), load.ended()).await.expect("in time");
        assert_eq!(load.report().state, LoadState::Ended);
    }

    #[tokio::test]
    async fn values_out_of_range_are_named() {
        let refused = |request| {
            let target = SocketAddr::from(([127, 0, 0, 1], 1));
            Load::start(target, request, 1, &CancellationToken::new()).expect_err("refused").field
        };
        assert_eq!(refused(request(0, 1.0, true, 1)), "users");
        assert_eq!(refused(request(2_001, 1.0, true, 1)), "users");
        assert_eq!(refused(request(1, f64::NAN, true, 1)), "requests_per_second");
        assert_eq!(refused(request(1, 0.01, true, 1)), "requests_per_second");
        assert_eq!(refused(request(1, 1.0, true, 0)), "seconds");
        assert_eq!(refused(LoadRequest { hold_ms: 10_001, ..request(1, 1.0, true, 1) }), "hold_ms");
    }
}
