//! Pages of other origins: sites, apps in web views, browser extensions.

use std::time::Duration;

use axum::{Router, body::Body, routing::get};
use http::{Method, StatusCode};
use poolgate_server::{Settings, settings::ServerSettings};
use poolgate_test_harness::{Answer, Server, eventually, server_with};
use poolgate_types::routes;
use tower::ServiceExt;

const PAGE: &str = "https://app.example";

async fn server_with_page(change: impl FnOnce(&mut ServerSettings)) -> Server {
    let change = |settings: &mut Settings| {
        settings.server.allowed_origins = vec![PAGE.to_owned()];
        change(&mut settings.server);
    };
    server_with(change, |_, _| Router::new().route("/never", get(async || std::future::pending::<()>().await))).await
}

async fn preflight(server: &Server, origin: &str, method: &str, headers: &str) -> Answer {
    let asked =
        [("origin", origin), ("access-control-request-method", method), ("access-control-request-headers", headers)];
    server.send(Method::OPTIONS, routes::THROTTLING_CONFIG, &asked).await
}

/// Whether a browser would let the page send these headers.
fn allows(answer: &Answer, headers: &str) -> bool {
    let allowed: Vec<&str> = answer.header("access-control-allow-headers").split(',').map(str::trim).collect();
    let sent = answer.status.is_success() && !answer.header("access-control-allow-origin").is_empty();
    sent && headers.split(',').all(|name| allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(name)))
}

#[tokio::test]
async fn tracing_libraries_may_add_their_headers() {
    let server = server_with_page(|_| {}).await;
    for headers in [
        "traceparent,tracestate,baggage",
        "baggage,sentry-trace",
        "x-datadog-origin,x-datadog-parent-id,x-datadog-sampling-priority,x-datadog-tags,x-datadog-trace-id",
        "b3",
        "x-b3-flags,x-b3-parentspanid,x-b3-sampled,x-b3-spanid,x-b3-traceid",
        "uber-trace-id",
        "newrelic,traceparent,tracestate",
        "request-context,request-id",
        "x-posthog-distinct-id,x-posthog-session-id",
        "x-correlation-id,x-request-id",
        "authorization,content-type,if-none-match",
    ] {
        assert!(allows(&preflight(&server, PAGE, "GET", headers).await, headers), "{headers}");
    }
    assert!(!allows(&preflight(&server, PAGE, "GET", "x-other").await, "x-other"));
    assert!(!allows(&preflight(&server, "https://evil.example", "GET", "baggage").await, "baggage"));
}

#[tokio::test]
async fn headers_can_be_named_or_all_allowed() {
    let named = server_with_page(|server| server.allowed_headers = vec!["x-other".to_owned()]).await;
    assert!(allows(&preflight(&named, PAGE, "GET", "content-type,x-other").await, "content-type,x-other"));
    assert!(!allows(&preflight(&named, PAGE, "GET", "baggage").await, "baggage"));
    let all = server_with_page(|server| {
        server.allowed_headers = vec!["*".to_owned()];
        server.allow_credentials = true;
    });
    assert!(allows(&preflight(&all.await, PAGE, "GET", "x-one,x-two").await, "x-one,x-two"));
}

#[tokio::test]
async fn credentials_are_allowed_only_if_configured_and_only_for_listed_origins() {
    let credentials = async |server: &Server, origin: &str| {
        let answer = server.send(Method::GET, routes::THROTTLING_CONFIG, &[("origin", origin)]).await;
        assert_ne!(answer.header("access-control-allow-origin"), "*");
        answer.header("access-control-allow-credentials").to_owned()
    };
    let without = server_with_page(|_| {}).await;
    assert_eq!(credentials(&without, PAGE).await, "");
    let with = server_with_page(|server| server.allow_credentials = true).await;
    assert_eq!(credentials(&with, PAGE).await, "true");
    assert_eq!(credentials(&with, "https://evil.example").await, "");
    assert_eq!(preflight(&with, PAGE, "POST", "content-type").await.header("access-control-allow-credentials"), "true");
}

#[tokio::test]
async fn apps_and_extensions_are_origins_too() {
    let origins = [
        "capacitor://localhost",
        "tauri://localhost",
        "app://-",
        "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
        "file://",
    ];
    let server = server_with_page(|server| server.allowed_origins = origins.map(str::to_owned).to_vec()).await;
    for origin in origins {
        let answer = server.send(Method::GET, routes::THROTTLING_CONFIG, &[("origin", origin)]).await;
        assert_eq!(answer.header("access-control-allow-origin"), origin);
    }
    for origin in ["null", "capacitor://evil", "tauri://localhost.evil"] {
        let answer = server.send(Method::GET, routes::THROTTLING_CONFIG, &[("origin", origin)]).await;
        assert_eq!(answer.header("access-control-allow-origin"), "", "{origin}");
    }
}

#[tokio::test]
async fn pages_can_read_every_refusal() {
    let server = server_with_page(|server| {
        server.max_header_bytes = 2048;
        server.max_body_bytes = 100;
        server.request_timeout = Duration::from_secs(1);
    })
    .await;
    let page = ("origin", PAGE);
    let large = "x".repeat(3000);
    let read = async |method: Method, path: &str, headers: &[(&str, &str)], body: Body| {
        let answer = server.send_body(method, path, headers, body).await;
        assert_eq!(answer.header("access-control-allow-origin"), PAGE, "{path}: {}", answer.status);
        assert!(answer.header("vary").to_ascii_lowercase().contains("origin"), "{path}");
        answer.problem();
        answer.status
    };
    assert_eq!(read(Method::GET, "/nowhere", &[page], Body::empty()).await, StatusCode::NOT_FOUND);
    assert_eq!(read(Method::POST, routes::PING, &[page], Body::empty()).await, StatusCode::METHOD_NOT_ALLOWED);
    let foreign = [page, ("host", "other.example")];
    assert_eq!(read(Method::GET, routes::PING, &foreign, Body::empty()).await, StatusCode::FORBIDDEN);
    let with_large = [page, ("x-large", &*large)];
    let status = read(Method::GET, routes::PING, &with_large, Body::empty()).await;
    assert_eq!(status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(read(Method::GET, "/never", &[page], Body::empty()).await, StatusCode::GATEWAY_TIMEOUT);
    let body = Body::from("x".repeat(200));
    let lengthy = [page, ("content-length", "200")];
    assert_eq!(read(Method::POST, routes::FORCE_CLEANUP, &lengthy, body).await, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn preflights_pass_a_full_gate_and_are_not_counted() {
    let settings = |settings: &mut Settings| {
        settings.gate.max_concurrent_requests = 1;
        settings.gate.max_queue = 0;
    };
    // The gate is outermost; preflights are answered inside it.
    let server = server_with(settings, |_, poolgate| {
        let hold = get(async || std::future::pending::<()>().await).options(async || StatusCode::NO_CONTENT);
        Router::new().route("/orders", hold).layer(poolgate.gate())
    })
    .await;
    let request = axum::extract::Request::get("/orders").header("host", "localhost").body(Body::empty());
    let held = tokio::spawn(server.app.clone().oneshot(request.expect("a request")));
    let gate = || server.poolgate.status().gate.expect("requests pass it");
    eventually("full", || gate().in_flight == 1).await;
    let asked = [("origin", PAGE), ("access-control-request-method", "POST")];
    for _ in 0..3 {
        assert_eq!(server.send(Method::OPTIONS, "/orders", &asked).await.status, StatusCode::NO_CONTENT);
    }
    let plain = server.send(Method::OPTIONS, "/orders", &[]).await;
    assert_eq!(plain.status, StatusCode::SERVICE_UNAVAILABLE, "no preflight");
    eventually("counted", || gate().rejected_total == 1).await;
    assert_eq!((gate().admitted_total, gate().in_flight), (1, 1));
    held.abort();
}
