//! Who and what uses the pool: routes, connections in use and clients.

use std::time::Duration;

use axum::{Router, extract::Path, routing::get};
use http::StatusCode;
use poolgate_types::{Activity, RouteActivity, routes};

use poolgate_test_harness::{Server, eventually, server_with};

async fn activity(server: &Server) -> Activity {
    let answer = server.get(routes::ACTIVITY).await;
    assert_eq!((answer.status, answer.header("cache-control")), (StatusCode::OK, "no-store"), "{}", answer.body);
    serde_json::from_str(&answer.body).expect("the document")
}

fn route<'a>(activity: &'a Activity, name: &str) -> Option<&'a RouteActivity> {
    activity.routes.iter().find(|route| route.route == name)
}

async fn shop() -> Server {
    server_with(
        |settings| settings.gate.max_concurrent_requests = 2,
        |pool, poolgate| {
            let (reader, holder) = (pool.clone(), pool.clone());
            let read = async move |Path(_): Path<u32>| {
                let _lease = reader.acquire().await.expect("a connection");
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            let hold = async move |Path(millis): Path<u64>| {
                let _lease = holder.acquire().await.expect("a connection");
                tokio::time::sleep(Duration::from_millis(millis)).await;
            };
            Router::new()
                .route("/orders/{id}", get(read))
                .route("/hold/{millis}", get(hold))
                .route("/fails", get(async || StatusCode::INTERNAL_SERVER_ERROR))
                .layer(poolgate.gate())
        },
    )
    .await
}

#[tokio::test]
async fn each_route_has_its_own_figures() {
    let server = shop().await;
    for id in 0..20 {
        assert_eq!(server.get(&format!("/orders/{id}")).await.status, StatusCode::OK);
    }
    server.get("/fails").await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;

    let seen = activity(&server).await;
    let orders = route(&seen, "GET /orders/{id}").unwrap_or_else(|| panic!("no orders in {seen:#?}"));
    assert_eq!((orders.requests, orders.error_rate), (20, Some(0.0)));
    let times = orders.response_time_ms.expect("20 answers");
    assert!((18.0..150.0).contains(&times.p50) && times.p50 <= times.p99, "{times:?}");
    let seconds = orders.connection_seconds.expect("the pool is Poolgate's own");
    assert!((0.38..2.0).contains(&seconds), "{seconds}");
    assert!(orders.pool_share.is_some_and(|share| share > 0.0 && share < 0.1), "{orders:?}");
    let fails = route(&seen, "GET /fails").expect("a matched route needs no success");
    assert_eq!((fails.requests, fails.error_rate, fails.connection_seconds), (1, Some(1.0), Some(0.0)));
    let places = |name| seen.routes.iter().position(|route| route.route == name);
    assert!(places("GET /orders/{id}") < places("GET /fails"), "what uses the pool most comes first");

    let status = server.poolgate.status();
    let gate = status.gate.expect("requests pass it");
    assert_eq!((gate.succeeded_total, gate.failed_total), (20, 1));
    assert_eq!(gate.unanswered_seconds, None, "none is in flight");
    assert!(status.started_at <= status.level_since && status.level_since <= status.sampled_at);
}

#[tokio::test]
async fn a_connection_that_is_held_is_told_with_its_route_and_line() {
    let server = shop().await;
    let client = async {
        // A client that leaves in time has changed its mind.
        tokio::time::timeout(Duration::from_millis(2_600), server.get("/hold/60000")).await.expect_err("not answered");
    };
    let look = async {
        tokio::time::sleep(Duration::from_millis(2_200)).await;
        let seen = activity(&server).await;
        let [lease] = &seen.leases[..] else { panic!("{seen:#?}") };
        assert_eq!(lease.route.as_deref(), Some("GET /hold/{millis}"));
        assert!(lease.location.starts_with("server/activity.rs:"), "{lease:?}");
        assert!((1.0..10.0).contains(&lease.age_seconds), "{lease:?}");
        let hold = route(&seen, "GET /hold/{millis}").expect("it has begun");
        assert!(hold.connection_seconds.is_some_and(|seconds| seconds >= 1.0), "what is in use now counts: {hold:?}");
        assert_eq!(hold.response_time_ms, None);
        let gate = server.poolgate.status().gate.expect("requests pass it");
        assert!(gate.unanswered_seconds.is_some_and(|seconds| seconds >= 1.5), "{gate:?}");
    };
    tokio::join!(client, look);
    let gate = || server.poolgate.status().gate.expect("requests pass it");
    eventually("it has left", || gate().in_flight == 0).await;
    assert_eq!(gate().failed_total, 0);
}

#[tokio::test]
async fn a_client_that_gives_up_counts_as_failed() {
    let server = shop().await;
    tokio::time::timeout(Duration::from_millis(5_300), server.get("/hold/60000")).await.expect_err("not answered");
    let gate = || server.poolgate.status().gate.expect("requests pass it");
    eventually("it has left", || gate().failed_total == 1).await;
    eventually("the window has it", || server.poolgate.status().performance.error_rate == Some(1.0)).await;
}

#[tokio::test]
async fn nothing_measured_is_not_zero() {
    let server = shop().await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let performance = server.poolgate.status().performance;
    assert_eq!((performance.requests, performance.error_rate), (Some(0), None));
    assert_eq!((performance.response_time_ms, performance.acquire_wait_ms), (None, None));
    assert!(activity(&server).await.routes.iter().all(|route| route.requests == 0));
}
