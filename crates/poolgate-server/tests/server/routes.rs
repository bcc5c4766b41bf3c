//! Status codes and headers of each route.

use std::{collections::BTreeSet, time::Duration};

use axum::{Router, body::Body, routing::get};
use http::{Method, StatusCode};
use poolgate_test_harness::{eventually, server, server_with};
use poolgate_types::{ConfigHeader, ConfigVersion, Status, ThrottlingConfig, routes};
use tower::ServiceExt;

#[tokio::test]
async fn health_answers_while_the_pool_is_exhausted() {
    let server = server(|_| {}).await;
    let mut leases = Vec::new();
    for _ in 0..3 {
        leases.push(server.pool.acquire().await.expect("a connection"));
    }
    eventually("sampled", || server.poolgate.status().pool.checked_out == 3).await;
    let ping = server.get(routes::PING).await;
    assert_eq!((ping.status, ping.json()["status"].as_str()), (StatusCode::OK, Some("pass")));
    let head = server.send(Method::HEAD, routes::PING, &[]).await;
    assert_eq!((head.status, head.body.as_str()), (StatusCode::OK, ""));
    let answer = server.get(routes::STATUS).await;
    assert_eq!(answer.status, StatusCode::OK);
    let status: Status = serde_json::from_str(&answer.body).expect("a status");
    assert_eq!((status.pool.checked_out, status.pool.capacity, status.pool.available), (3, 3, 0));
    assert!((status.pool.usage_percent - 100.0).abs() < 1e-9);
    let test = server.get(routes::CONNECTION_TEST).await;
    assert_eq!((test.status, test.json()["ok"].as_bool()), (StatusCode::OK, Some(true)));
    assert_eq!(test.json()["backend"], "sqlite");
    assert!(test.json()["server_version"].as_str().is_some_and(|version| version.starts_with('3')));
    assert_eq!(server.get(routes::READYZ).await.status, StatusCode::OK, "pressure alone is no reason");
    assert_eq!(server.get(routes::THROTTLING_CONFIG).await.status, StatusCode::OK);
}

#[tokio::test]
async fn health_answers_while_the_gate_is_full() {
    let settings = |settings: &mut poolgate_server::Settings| {
        settings.gate.max_concurrent_requests = 1;
        settings.gate.max_queue = 0;
    };
    let hold = || get(async || std::future::pending::<()>().await);
    let server = server_with(settings, |_, poolgate| Router::new().route("/hold", hold()).layer(poolgate.gate())).await;
    let request = axum::extract::Request::get("/hold").header("host", "localhost").body(Body::empty());
    let held = tokio::spawn(server.app.clone().oneshot(request.expect("a request")));
    eventually("full", || server.poolgate.status().gate.is_some_and(|gate| gate.in_flight == 1)).await;
    let rejected = server.get("/hold").await;
    assert_eq!((rejected.status, &*rejected.problem().code), (StatusCode::SERVICE_UNAVAILABLE, "database_unavailable"));
    for path in [
        routes::PING,
        routes::STATUS,
        routes::THROTTLING_CONFIG,
        routes::CONNECTION_TEST,
        routes::LIVEZ,
        routes::READYZ,
        routes::OPENAPI,
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(answer.header("poolgate-config"), "", "{path} did not pass the gate");
    }
    let request = axum::extract::Request::get(routes::EVENTS).header("host", "localhost").body(Body::empty());
    let events = server.app.clone().oneshot(request.expect("a request")).await.expect("infallible");
    assert_eq!(events.status(), StatusCode::OK);
    assert_eq!(server.post(routes::FORCE_CLEANUP, &[]).await.status, StatusCode::OK);
    held.abort();
}

#[tokio::test]
async fn the_configs_etag_is_stable_and_answers_304() {
    let server = server(|settings| settings.control.tick = Duration::from_millis(10)).await;
    let first = server.get(routes::THROTTLING_CONFIG).await;
    let config: ThrottlingConfig = serde_json::from_str(&first.body).expect("a config");
    let etag = first.header("etag").to_owned();
    assert_eq!(etag, format!("\"{}\"", config.etag()));
    let sampled = server.poolgate.status().sampled_at;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_ne!(server.poolgate.status().sampled_at, sampled, "more than a hundred samples were taken");
    let again = server.get(routes::THROTTLING_CONFIG).await;
    assert_eq!((again.header("etag"), &again.body), (&*etag, &first.body));
    let unchanged = server.send(Method::GET, routes::THROTTLING_CONFIG, &[("if-none-match", &etag)]).await;
    assert_eq!((unchanged.status, unchanged.body.as_str()), (StatusCode::NOT_MODIFIED, ""));
    for name in ["etag", "cache-control", "vary"] {
        assert_eq!(unchanged.header(name), first.header(name), "{name}");
        assert!(!first.header(name).is_empty(), "{name}");
    }
    assert_eq!(first.header("cache-control"), "max-age=1, stale-if-error=60");
    let changed = server.send(Method::GET, routes::THROTTLING_CONFIG, &[("if-none-match", "\"1-1\"")]).await;
    assert_eq!(changed.status, StatusCode::OK);
}

#[tokio::test]
async fn wrong_methods_and_paths_are_problems() {
    let server = server(|_| {}).await;
    for path in [
        routes::PING,
        routes::STATUS,
        routes::THROTTLING_CONFIG,
        routes::EVENTS,
        routes::CONNECTION_TEST,
        routes::LIVEZ,
        routes::READYZ,
        routes::METRICS,
        routes::OPENAPI,
    ] {
        let answer = server.post(path, &[]).await;
        assert_eq!((answer.status, answer.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD"), "{path}");
        assert_eq!(answer.problem().code, "method_not_allowed");
    }
    let cleanup = server.get(routes::FORCE_CLEANUP).await;
    assert_eq!((cleanup.status, cleanup.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "POST"));
    assert_eq!(cleanup.problem().code, "method_not_allowed");
    let nowhere = server.get("/api/v1/nowhere").await;
    assert_eq!((nowhere.status, nowhere.problem().code.as_str()), (StatusCode::NOT_FOUND, "not_found"));
}

#[tokio::test]
async fn cleanup_is_correctly_reported_paced_and_protected() {
    let server = server(|settings| {
        settings.server.admin_token = Some(poolgate_server::settings::Secret::new("a token of some length"));
        settings.cleanup.dispose = true;
        settings.cleanup.manual_cooldown = Duration::from_secs(1);
    })
    .await;
    let _lease = server.pool.acquire().await.expect("a connection");
    for headers in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.example")],
    ] {
        let refused = server.post(routes::FORCE_CLEANUP, headers).await;
        assert_eq!((refused.status, refused.problem().code.as_str()), (StatusCode::FORBIDDEN, "cross_site_request"));
    }
    let wrong = server.post(routes::FORCE_CLEANUP, &[("authorization", "Bearer a token of some lengtH")]).await;
    assert_eq!((wrong.status, wrong.problem().code.as_str()), (StatusCode::UNAUTHORIZED, "unauthorized"));
    let report = server.post(routes::FORCE_CLEANUP, &[("sec-fetch-site", "same-origin")]).await;
    assert_eq!(report.status, StatusCode::OK, "{}", report.body);
    let json = report.json();
    assert_eq!((json["trigger"].as_str(), json["freed"].as_u64()), (Some("manual"), Some(0)));
    assert_eq!((json["checked_out_before"].as_u64(), json["checked_out_after"].as_u64()), (Some(1), Some(1)));
    assert!(json["skipped"].to_string().contains("dispose: needs the admin token"), "{json}");
    let early = server.post(routes::FORCE_CLEANUP, &[]).await;
    assert_eq!((early.status, early.problem().code.as_str()), (StatusCode::TOO_MANY_REQUESTS, "cleanup_cooldown"));
    assert!(early.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds >= 1));
    eventually("shown", || server.poolgate.status().last_cleanup.is_some()).await;
    tokio::time::sleep(Duration::from_millis(1010)).await;
    let before = server.pool.counts().generation;
    let far = server.post(routes::FORCE_CLEANUP, &[("authorization", "Bearer a token of some length")]).await;
    assert_eq!(far.status, StatusCode::OK);
    assert!(!far.json()["skipped"].to_string().contains("dispose"), "{}", far.body);
    assert_eq!(server.pool.counts().generation, before + 1);
}

#[tokio::test]
async fn other_sites_read_only_if_they_are_allowed() {
    let server = server(|settings| settings.server.allowed_origins = vec!["https://app.example".to_owned()]).await;
    let allowed = server.send(Method::GET, routes::THROTTLING_CONFIG, &[("origin", "https://app.example")]).await;
    assert_eq!(allowed.header("access-control-allow-origin"), "https://app.example");
    let exposed = allowed.header("access-control-expose-headers");
    for name in ["poolgate-config", "ratelimit", "retry-after", "etag"] {
        assert!(exposed.contains(name), "{name}: {exposed}");
    }
    let other = server.send(Method::GET, routes::THROTTLING_CONFIG, &[("origin", "https://evil.example")]).await;
    assert_eq!(other.header("access-control-allow-origin"), "");
    let headers = [("origin", "https://app.example"), ("sec-fetch-site", "cross-site")];
    assert_eq!(server.post(routes::FORCE_CLEANUP, &headers).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_loopback_server_accepts_only_loopback_names() {
    let loopback = server(|_| {}).await;
    for (host, expected) in [
        ("localhost", StatusCode::OK),
        ("127.0.0.1:8000", StatusCode::OK),
        ("[::1]:8000", StatusCode::OK),
        ("evil.example", StatusCode::FORBIDDEN),
    ] {
        let answer = loopback.send(Method::GET, routes::PING, &[("host", host)]).await;
        assert_eq!(answer.status, expected, "{host}");
        if expected == StatusCode::FORBIDDEN {
            assert_eq!(answer.problem().code, "foreign_host");
        }
    }
    let public = server(|settings| settings.server.bind = "0.0.0.0:8000".parse().expect("an address")).await;
    assert_eq!(public.send(Method::GET, routes::PING, &[("host", "db.example")]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn oversized_and_endless_requests_are_refused() {
    let server = server_with(
        |settings| {
            settings.server.max_body_bytes = 1000;
            settings.server.max_header_bytes = 2048;
            settings.server.request_timeout = Duration::from_secs(1);
        },
        |_, _| {
            Router::new()
                .route("/echo", axum::routing::post(async |body: String| body))
                .route("/never", get(async || std::future::pending::<()>().await))
        },
    )
    .await;
    let post = async |bytes: usize| server.send_body(Method::POST, "/echo", &[], Body::from("x".repeat(bytes))).await;
    assert_eq!(post(1000).await.status, StatusCode::OK);
    let large = post(1001).await;
    assert_eq!((large.status, large.problem().code.as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"));
    // Without an announced length.
    let streamed =
        Body::from_stream(futures_util::stream::iter((0..11).map(|_| Ok::<_, std::io::Error>("x".repeat(100)))));
    let large = server.send_body(Method::POST, "/echo", &[], streamed).await;
    assert_eq!((large.status, large.problem().code.as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"));
    let head = server.send(Method::GET, routes::PING, &[("x-large", &"x".repeat(3000))]).await;
    assert_eq!(head.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(head.problem().code, "head_too_large");
    let late = server.get("/never").await;
    assert_eq!((late.status, late.problem().code.as_str()), (StatusCode::GATEWAY_TIMEOUT, "request_timeout"));
}

#[tokio::test]
async fn gated_responses_carry_the_config_and_rejections_a_retry_after() {
    let server = server_with(
        |settings| {
            settings.gate.max_concurrent_requests = 1;
            settings.gate.timeout = Duration::from_millis(50);
        },
        |pool, poolgate| {
            let pool = pool.clone();
            let slow = async move || {
                let lease = pool.acquire().await.expect("a connection");
                tokio::time::sleep(Duration::from_millis(300)).await;
                drop(lease);
                "done"
            };
            Router::new().route("/orders", get(slow)).layer(poolgate.gate())
        },
    )
    .await;
    let (first, second) = tokio::join!(server.get("/orders"), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.get("/orders").await
    });
    assert_eq!((first.status, first.body.as_str()), (StatusCode::OK, "done"));
    assert_eq!(second.status, StatusCode::SERVICE_UNAVAILABLE);
    let problem = second.problem();
    assert_eq!(problem.code, "database_unavailable");
    assert!(problem.kind.ends_with("temporary-reduced-capacity"));
    assert!(second.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds >= 1));
    for answer in [&first, &second] {
        let header: ConfigHeader = answer.header("poolgate-config").parse().expect("a config");
        let ConfigVersion { epoch, .. } = server.poolgate.config().at();
        assert_eq!(header.at.epoch, epoch);
    }
    let gate = || server.poolgate.status().gate.expect("requests pass it");
    eventually("counted", || (gate().admitted_total, gate().rejected_total, gate().in_flight) == (1, 1, 0)).await;
    eventually("measured", || {
        server.poolgate.status().performance.acquire_wait_ms.is_some_and(|waits| waits.p50 > 0.0)
    })
    .await;
    let performance = server.poolgate.status().performance;
    assert_eq!((performance.requests, performance.error_rate), (Some(2), Some(0.5)));
    assert!(performance.response_time_ms.is_some_and(|times| times.p99 >= 290.0), "{performance:?}");
}

#[tokio::test]
async fn connection_tests_share_one_answer() {
    let server = server(|_| {}).await;
    let answers = futures_util::future::join_all((0..20).map(|_| server.get(routes::CONNECTION_TEST))).await;
    let bodies: BTreeSet<&str> = answers.iter().map(|answer| answer.body.as_str()).collect();
    assert_eq!(bodies.len(), 1, "one test for twenty callers: {bodies:?}");
}

#[tokio::test]
async fn the_openapi_document_is_served() {
    let server = server(|_| {}).await;
    let document = server.get(routes::OPENAPI).await.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["components"]["schemas"]["ThrottlingConfig"].is_object());
}
