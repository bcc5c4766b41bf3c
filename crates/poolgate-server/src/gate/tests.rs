//! The gate's semantics, driven as a service.

mod bodies;
mod orders;
mod queue;
mod server_timing;
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

/// A config of this version without a limit.
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
