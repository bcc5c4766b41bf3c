//! The gate's semantics, driven as a service.

mod bodies;
mod who_counts;
mod who_goes_first;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::body::Body;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use poolgate_control::gate::GateOrders;
use poolgate_types::{CircuitState, ConfigHeader, ConfigVersion, Problem, ThrottlingConfig};
use tokio::{sync::Semaphore, task::JoinSet, time};
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneService};

use super::*;
use crate::settings::{GateSettings, QueueOrder};

fn settings(permits: u32, max_queue: u32) -> GateSettings {
    GateSettings { max_concurrent_requests: permits, max_queue, ..GateSettings::default() }
}

fn core(settings: &GateSettings) -> Arc<Core> {
    Core::new(settings, Surroundings::default())
}

/// A config of this version that limits nobody.
fn normal(version: u64) -> ThrottlingConfig {
    ThrottlingConfig::normal(ConfigVersion { epoch: 1, version })
}

/// Puts a fair rate in force.
fn limit(core: &Core, per_second: f64) {
    let config = ThrottlingConfig { enforced: true, fair_rate_per_second: Some(per_second), ..normal(2) };
    core.obey(&config, &GateOrders { fair_rate_per_second: Some(per_second), ..GateOrders::default() });
}

fn version(answer: &Response<GateBody<Body>>) -> u64 {
    let header: ConfigHeader = answer.headers()["poolgate-config"].to_str().expect("ASCII").parse().expect("a config");
    header.at.version
}

fn request() -> Request<Body> {
    Request::new(Body::empty())
}

type Answer = Result<Response<GateBody<Body>>, Infallible>;

type Held = BoxCloneService<Request<Body>, Response<GateBody<Body>>, Infallible>;

/// A gated service that answers once `go` has a permit for it.
fn held(gate: &Gate, go: &Arc<Semaphore>) -> Held {
    let go = Arc::clone(go);
    BoxCloneService::new(gate.layer(service_fn(move |_: Request<Body>| {
        let go = Arc::clone(&go);
        async move {
            go.acquire().await.expect("never closed").forget();
            Ok::<_, Infallible>(Response::new(Body::from("done")))
        }
    })))
}

async fn problem(answer: Answer) -> (http::response::Parts, Problem) {
    let (parts, body) = answer.expect("infallible").into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    (parts, serde_json::from_slice(&bytes).expect("a problem document"))
}

#[tokio::test(start_paused = true)]
async fn a_wider_gate_lets_in_who_waits_and_a_narrower_one_takes_no_permit_away() {
    let core = core(&settings(1, 10));
    let (gate, go) = (Gate::with_core(Arc::clone(&core)), Arc::new(Semaphore::new(0)));
    let service = held(&gate, &go);
    let mut tasks = JoinSet::new();
    let until = async |in_flight, queued| {
        while (gate.in_flight(), gate.queued()) != (in_flight, queued) {
            tokio::task::yield_now().await;
        }
    };
    for number in 1..=4 {
        let answer = service.clone().oneshot(request());
        // The permit is held until the response is dropped.
        tasks.spawn(async move { answer.await.expect("infallible").status() });
        until(1, number - 1).await;
    }
    core.obey(&normal(1), &GateOrders { permits: Some(3), ..GateOrders::default() });
    until(3, 1).await;
    core.obey(&normal(1), &GateOrders { permits: Some(1), ..GateOrders::default() });
    go.add_permits(1);
    until(2, 1).await;
    go.add_permits(3);
    while let Some(answer) = tasks.join_next().await {
        assert_eq!(answer.expect("no panic"), StatusCode::OK);
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_not_let_in_in_time_is_told_when_to_come_back() {
    let (gate, go) = (Gate::new(&settings(1, 10)), Arc::new(Semaphore::new(0)));
    let service = held(&gate, &go);
    let first = tokio::spawn(service.clone().oneshot(request()));
    while gate.in_flight() == 0 {
        tokio::task::yield_now().await;
    }
    let begun = time::Instant::now();
    let (parts, problem) = problem(service.oneshot(request()).await).await;
    assert_eq!(begun.elapsed(), Duration::from_millis(500));
    assert_eq!(parts.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(problem.code, "database_unavailable");
    assert_eq!(parts.headers["content-type"], "application/problem+json");
    let retry_after: u32 = parts.headers["retry-after"].to_str().expect("ASCII").parse().expect("an integer");
    assert!(retry_after >= 1);
    let config: ConfigHeader = parts.headers["poolgate-config"].to_str().expect("ASCII").parse().expect("a config");
    assert!(!config.open);
    go.add_permits(1);
    drop(first.await);
    assert_eq!((gate.in_flight(), gate.queued()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn whoever_is_turned_away_is_told_how_full_the_gate_is() {
    let (gate, go) = (Gate::new(&settings(2, 1)), Arc::new(Semaphore::new(0)));
    let service = held(&gate, &go);
    let mut tasks = JoinSet::new();
    for _ in 0..3 {
        tasks.spawn(service.clone().oneshot(request()));
    }
    while (gate.in_flight(), gate.queued()) != (2, 1) {
        tokio::task::yield_now().await;
    }
    let figures = async |answer: Answer| {
        let bytes = answer.expect("infallible").into_body().collect().await.expect("a body").to_bytes();
        let document: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
        ["max_concurrent_requests", "in_flight", "waiting"].map(|name| document[name].as_u64())
    };
    let at_once = figures(service.oneshot(request()).await).await;
    assert_eq!(at_once, [Some(2), Some(2), Some(1)], "the queue is full");
    let late = tasks.join_next().await.expect("three").expect("no panic");
    assert_eq!(figures(late).await, [Some(2), Some(2), Some(0)], "who waits no more is not counted");
}

#[tokio::test(start_paused = true)]
async fn a_caller_with_a_deadline_does_not_wait_beyond_it() {
    let (gate, go) = (Gate::new(&settings(1, 10)), Arc::new(Semaphore::new(0)));
    let service = held(&gate, &go);
    let first = tokio::spawn(service.clone().oneshot(request()));
    while gate.in_flight() == 0 {
        tokio::task::yield_now().await;
    }
    for (deadline, waited) in [("80", 80), ("60000", 500), ("soon", 500)] {
        let begun = time::Instant::now();
        let mut request = request();
        request.headers_mut().insert("poolgate-deadline-ms", deadline.parse().expect("a header value"));
        let answer = service.clone().oneshot(request).await.expect("infallible");
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(begun.elapsed(), Duration::from_millis(waited), "{deadline}");
    }
    go.add_permits(1);
    drop(first.await);
}

#[tokio::test]
async fn a_full_queue_rejects_at_once() {
    let (gate, go) = (Gate::new(&settings(1, 2)), Arc::new(Semaphore::new(0)));
    let service = held(&gate, &go);
    let mut tasks = JoinSet::new();
    for _ in 0..3 {
        tasks.spawn(service.clone().oneshot(request()));
    }
    while (gate.in_flight(), gate.queued()) != (1, 2) {
        tokio::task::yield_now().await;
    }
    let (parts, _) = problem(service.oneshot(request()).await).await;
    assert_eq!(parts.status, StatusCode::SERVICE_UNAVAILABLE);
    go.add_permits(3);
    while let Some(answer) = tasks.join_next().await {
        assert_eq!(answer.expect("joined").expect("infallible").status(), StatusCode::OK);
    }
    assert_eq!(gate.in_flight(), 0);
}

#[tokio::test]
async fn streams_and_upgrades_give_the_permit_back_at_the_head() {
    let gate = Gate::new(&settings(1, 0));
    for (status, content_type) in [(101, "text/plain"), (200, "text/event-stream; charset=utf-8")] {
        let service = gate.layer(service_fn(move |_: Request<Body>| async move {
            let response = Response::builder().status(status).header("content-type", content_type);
            Ok::<_, Infallible>(response.body(Body::from("open end")).expect("a response"))
        }));
        let response = service.oneshot(request()).await.expect("infallible");
        assert_eq!(gate.in_flight(), 0, "{status} {content_type}");
        drop(response);
        assert_eq!(gate.in_flight(), 0);
    }
}

#[tokio::test]
async fn an_error_of_the_service_gives_the_permit_back() {
    let gate = Gate::new(&settings(1, 0));
    let service = gate.layer(service_fn(|_: Request<Body>| async { Err::<Response<Body>, _>("broken") }));
    assert_eq!(service.oneshot(request()).await.expect_err("broken"), "broken");
    assert_eq!(gate.in_flight(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_storm_of_cancelled_requests_leaves_nothing_behind() {
    let gate = Gate::new(&settings(5, 20));
    let peak = Arc::new(AtomicU32::new(0));
    let service = {
        let (gate, peak) = (gate.clone(), Arc::clone(&peak));
        gate.clone().layer(service_fn(move |_: Request<Body>| {
            let (gate, peak) = (gate.clone(), Arc::clone(&peak));
            async move {
                peak.fetch_max(gate.in_flight(), Relaxed);
                time::sleep(Duration::from_micros(300)).await;
                Ok::<_, Infallible>(Response::new(Body::from("done")))
            }
        }))
    };
    let mut tasks = JoinSet::new();
    for number in 0..4000_u64 {
        let service = service.clone();
        tasks.spawn(async move {
            // Some finish, some are cut off in the queue, some at work, some with the body in hand.
            let patience = Duration::from_micros(number * 7919 % 2500);
            let _ = time::timeout(patience, async {
                let response = service.oneshot(request()).await.expect("infallible");
                time::sleep(Duration::from_micros(number % 500)).await;
                let _ = response.into_body().collect().await;
            })
            .await;
        });
        if number % 50 == 0 {
            time::sleep(Duration::from_millis(1)).await;
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no panic");
    }
    assert_eq!((gate.in_flight(), gate.queued()), (0, 0));
    assert!((1..=5).contains(&peak.load(Relaxed)));
    // All permits are there: five requests at once pass a gate without a queue's help.
    let go = Arc::new(Semaphore::new(0));
    let mut five = JoinSet::new();
    for _ in 0..5 {
        five.spawn(held(&gate, &go).oneshot(request()));
    }
    while gate.in_flight() < 5 {
        tokio::task::yield_now().await;
    }
    assert_eq!(gate.queued(), 0);
    go.add_permits(5);
    while let Some(answer) = five.join_next().await {
        assert_eq!(answer.expect("joined").expect("infallible").status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_reject_is_cheap() {
    const REJECTS: u32 = 4_000;
    let core = core(&settings(1, 0));
    let gate = Gate::with_core(Arc::clone(&core)).identify(|_| Some("greedy".to_owned()));
    let service = held(&gate, &Arc::new(Semaphore::new(0)));
    let _held = tokio::spawn(service.clone().oneshot(request()));
    while gate.in_flight() == 0 {
        tokio::task::yield_now().await;
    }
    for status in [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS] {
        if status == StatusCode::TOO_MANY_REQUESTS {
            limit(&core, 0.001);
        }
        let mut fastest = Duration::MAX;
        // The fastest of several runs, because the machine may be busy with other work.
        for _ in 0..5 {
            let begun = std::time::Instant::now();
            for _ in 0..REJECTS {
                let answer = service.clone().oneshot(request()).await.expect("infallible");
                assert!(answer.status() == status || answer.status() == StatusCode::SERVICE_UNAVAILABLE);
            }
            fastest = fastest.min(begun.elapsed() / REJECTS);
        }
        assert_eq!(service.clone().oneshot(request()).await.expect("infallible").status(), status);
        assert!(fastest < Duration::from_micros(20), "{fastest:?} for one {status}");
    }
}

#[tokio::test]
async fn the_counters_balance() {
    let (core, go) = (core(&settings(1, 0)), Arc::new(Semaphore::new(0)));
    let service = held(&Gate::with_core(Arc::clone(&core)), &go);
    let first = tokio::spawn(service.clone().oneshot(request()));
    while core.occupancy().in_flight == 0 {
        tokio::task::yield_now().await;
    }
    let rejected = service.oneshot(request()).await.expect("infallible");
    assert_eq!(rejected.status(), StatusCode::SERVICE_UNAVAILABLE);
    let totals = core.totals();
    assert_eq!((totals.arrivals, totals.admitted, totals.rejected, totals.completed), (2, 1, 1, 0));
    go.add_permits(1);
    let open = first.await.expect("joined");
    let totals = core.totals();
    assert_eq!(totals.completed, 1);
    drop(open);
    assert_eq!((core.occupancy().in_flight, core.totals().completed), (0, 1), "once");
}

#[tokio::test]
async fn an_open_breaker_lets_only_probes_pass() {
    let core = core(&settings(5, 5));
    let (gate, go) = (Gate::with_core(Arc::clone(&core)), Arc::new(Semaphore::new(99)));
    let config = ThrottlingConfig { circuit_breaker_open: true, retry_after_seconds: Some(7), ..normal(2) };
    let probing = GateOrders { circuit: CircuitState::Open, probes_per_second: 0.001, ..GateOrders::default() };
    core.obey(&config, &GateOrders { retry_after_seconds: 7, ..probing });
    let service = held(&gate, &go);
    let mut statuses = Vec::new();
    for _ in 0..20 {
        let response = service.clone().oneshot(request()).await.expect("infallible");
        if response.status() == StatusCode::SERVICE_UNAVAILABLE {
            let retry_after: u32 = response.headers()["retry-after"].to_str().expect("ASCII").parse().expect("integer");
            assert!(retry_after >= 7);
        }
        assert!(response.headers()["poolgate-config"].to_str().expect("ASCII").ends_with("open=?1"));
        statuses.push(response.status());
    }
    assert_eq!(statuses.iter().filter(|status| status.is_success()).count(), 1, "one probe");
}

#[tokio::test]
async fn a_probe_that_got_no_connection_says_nothing() {
    let core = core(&settings(5, 5));
    let probing = GateOrders { circuit: CircuitState::HalfOpen, probes_per_second: 1e6, ..GateOrders::default() };
    core.obey(&normal(2), &probing);
    for (connected, status, counted) in [
        (false, StatusCode::SERVICE_UNAVAILABLE, (0, 0)),
        (true, StatusCode::INTERNAL_SERVER_ERROR, (0, 1)),
        (false, StatusCode::OK, (0, 1)),
        (true, StatusCode::OK, (1, 1)),
    ] {
        let service = Gate::with_core(Arc::clone(&core)).layer(service_fn(move |_: Request<Body>| async move {
            if connected {
                RequestTrace::connection_in_hand(Duration::ZERO);
            }
            let mut answer = Response::new(Body::empty());
            *answer.status_mut() = status;
            Ok::<_, Infallible>(answer)
        }));
        let answer = service.oneshot(request()).await.expect("infallible");
        assert_eq!(answer.status(), status);
        let totals = core.totals();
        assert_eq!((totals.probes_succeeded, totals.probes_failed), counted, "{connected} {status}");
        time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_client_that_sends_more_than_its_share_is_told_so_by_name() {
    let core = core(&settings(5, 5));
    let go = Arc::new(Semaphore::new(999));
    let gate =
        Gate::with_core(Arc::clone(&core)).identify(|parts| Some(parts.headers.get("user")?.to_str().ok()?.to_owned()));
    let service = held(&gate, &go);
    let send = |user: &'static str| {
        let request = Request::builder().header("user", user).body(Body::empty()).expect("a request");
        service.clone().oneshot(request)
    };
    for _ in 0..50 {
        assert_eq!(send("greedy").await.expect("infallible").status(), StatusCode::OK, "nothing is in force");
    }
    limit(&core, 0.5);
    for _ in 0..50 {
        drop(send("greedy").await);
    }
    let (parts, problem) = problem(send("greedy").await).await;
    assert_eq!((parts.status, &*problem.code), (StatusCode::TOO_MANY_REQUESTS, "quota_exceeded"));
    let retry_after: u32 = parts.headers["retry-after"].to_str().expect("ASCII").parse().expect("an integer");
    let limit = parts.headers["ratelimit"].to_str().expect("ASCII");
    let due: u32 = limit.strip_prefix(r#""per-client";r=0;t="#).expect("the form").parse().expect("an integer");
    assert!(retry_after >= due && due >= 1, "Retry-After wins and is not earlier");
    assert!(parts.headers.contains_key("ratelimit-policy"));
    assert_eq!(send("modest").await.expect("infallible").status(), StatusCode::OK, "others are not touched");
    let totals = core.totals();
    assert_eq!(totals.arrivals, totals.admitted + totals.rejected, "excess does not count as demand");
    assert!(totals.over_quota >= 35);
}

#[tokio::test]
async fn a_standing_queue_turns_to_newest_first_and_sheds_the_old() {
    let served = |order| async move {
        let core = core(&GateSettings { order, ..settings(1, 50) });
        core.obey(&normal(1), &GateOrders { limited: true, ..GateOrders::default() });
        let gate = Gate::with_core(core);
        let mut tasks = JoinSet::new();
        // One at a time, 5 ms each; two come per served one.
        for number in 0..200_u32 {
            let service = gate.layer(service_fn(|_: Request<Body>| async {
                time::sleep(Duration::from_millis(5)).await;
                Ok::<_, Infallible>(Response::new(Body::empty()))
            }));
            tasks.spawn(async move {
                let begun = time::Instant::now();
                let response = service.oneshot(request()).await.expect("infallible");
                (number, response.status(), begun.elapsed())
            });
            time::sleep(Duration::from_millis(2)).await;
        }
        let mut waits: Vec<Duration> = Vec::new();
        while let Some(ended) = tasks.join_next().await {
            let (number, status, waited) = ended.expect("no panic");
            if status.is_success() && number >= 100 {
                waits.push(waited);
            }
        }
        waits.sort();
        waits[waits.len() / 2]
    };
    let (adaptive, fifo) = tokio::join!(served(QueueOrder::Adaptive), served(QueueOrder::Fifo));
    assert!(adaptive < Duration::from_millis(80), "adaptive: {adaptive:?}");
    assert!(fifo > adaptive * 2, "first come, first served: {fifo:?}, adaptive: {adaptive:?}");
}

#[tokio::test]
async fn a_request_is_stamped_by_the_orders_that_it_was_judged_by() {
    let (core, go) = (core(&settings(1, 1)), Arc::new(Semaphore::new(0)));
    let gate = Gate::with_core(Arc::clone(&core)).identify(|_| Some("somebody".to_owned()));
    let service = held(&gate, &go);
    core.obey(&normal(2), &GateOrders::default());
    let running = tokio::spawn(service.clone().oneshot(request()));
    let queued = tokio::spawn(service.clone().oneshot(request()));
    while (gate.in_flight(), gate.queued()) != (1, 1) {
        tokio::task::yield_now().await;
    }
    // The breaker opens between their judgement and their answers.
    let shut = GateOrders { circuit: CircuitState::Open, retry_after_seconds: 9, ..GateOrders::default() };
    core.obey(&ThrottlingConfig { circuit_breaker_open: true, ..normal(3) }, &shut);
    let rejected = service.clone().oneshot(request()).await.expect("infallible");
    assert_eq!((rejected.status(), version(&rejected)), (StatusCode::SERVICE_UNAVAILABLE, 3));
    go.add_permits(2);
    for answer in [running, queued] {
        let answer = answer.await.expect("joined").expect("infallible");
        assert_eq!((answer.status(), version(&answer)), (StatusCode::OK, 2));
    }
}

#[tokio::test]
async fn a_request_whose_body_was_waited_for_is_judged_by_the_orders_of_then() {
    let core = core(&settings(1, 1));
    let service = held(&Gate::with_core(Arc::clone(&core)), &Arc::new(Semaphore::new(1)));
    core.obey(&normal(2), &GateOrders::default());
    let (sender, upload) = bodies::upload(Some(5));
    let answer = tokio::spawn(service.oneshot(upload));
    tokio::task::yield_now().await;
    let shut = GateOrders { circuit: CircuitState::Open, ..GateOrders::default() };
    core.obey(&ThrottlingConfig { circuit_breaker_open: true, ..normal(3) }, &shut);
    drop(sender);
    let answer = answer.await.expect("joined").expect("infallible");
    assert_eq!((answer.status(), version(&answer)), (StatusCode::SERVICE_UNAVAILABLE, 3));
}
