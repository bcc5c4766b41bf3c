//! What is Poolgate's and what is the app's.

use axum::{Router, http::HeaderMap, response::IntoResponse, routing::get as route_get};

use crate::{
    client::{ask, get},
    front::{axum_app, eventually, front, front_of, front_with},
    raw_app::{RawApp, Then, ok},
};

/// T28, T30.
#[tokio::test]
async fn the_apps_own_routes_are_reached_under_any_name() {
    let app = RawApp::start(|request| (ok(request.split(' ').nth(1).expect("a target")), Then::Keep)).await;
    let front = front(app.address).await;
    for path in ["/", "/metrics", "/readyz", "/livez", "/api/v1/openapi.json", "/api/v1/health", "/api/v1/healthy"] {
        let answer = get(front.address, path).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, path));
        assert!(answer.field("poolgate-config").is_some(), "{path}");
    }
    let seen = app.requests().len();
    for path in ["/api/v1/health/ping", "/api/v1/health/database/throttling-config"] {
        let answer = get(front.address, path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    let unknown = get(front.address, "/api/v1/health/nothing").await;
    assert_eq!((unknown.status, unknown.field("content-type")), (404, Some("application/problem+json")));
    assert_eq!(app.requests().len(), seen, "these are not the app's");
}

#[tokio::test]
async fn the_prefix_can_be_moved() {
    let app = RawApp::answering(ok("app")).await;
    let front = front_with(app.address, |settings| settings.gateway.prefix = "/-/poolgate/".to_owned()).await;
    let own = get(front.address, "/-/poolgate/database/throttling-config?x=y").await;
    assert!(own.text().contains("\"throttling_level\""), "{own:?}");
    assert_eq!(get(front.address, "/api/v1/health/ping").await.text(), "app");
}

/// T29.
#[tokio::test]
async fn preflights_and_requests_of_other_sites_reach_the_app() {
    let app = RawApp::answering("HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Origin: *\r\n\r\n").await;
    let front = front_with(app.address, |settings| {
        settings.server.allowed_origins = vec!["https://other.example".to_owned()];
    })
    .await;
    let preflight = "OPTIONS /orders HTTP/1.1\r\nHost: shop.example\r\nOrigin: https://pay.example\r\n\
                     Access-Control-Request-Method: PUT\r\n\r\n";
    let answer = ask(front.address, preflight).await;
    assert_eq!((answer.status, answer.field("access-control-allow-origin")), (204, Some("*")), "{answer:?}");
    let form = "POST /paid HTTP/1.1\r\nHost: shop.example\r\nOrigin: https://pay.example\r\nSec-Fetch-Site: cross-site\r\n\
                Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\na=b";
    assert_eq!(ask(front.address, form).await.status, 204);
    assert_eq!(app.requests().len(), 2);
}

#[tokio::test]
async fn pages_of_allowed_origins_read_why_the_gateway_itself_says_no() {
    let front = front_of("http://127.0.0.1:1", |settings| {
        settings.server.allowed_origins = vec!["https://shop.example".to_owned()];
    })
    .await;
    let from = async |origin: &str| {
        let request = format!("GET /orders HTTP/1.1\r\nHost: api.example\r\nOrigin: {origin}\r\n\r\n");
        let answer = ask(front.address, request.as_str()).await;
        assert_eq!(answer.status, 502, "{answer:?}");
        let revealed = answer.field("access-control-expose-headers").is_some_and(|names| names.contains("retry-after"));
        (
            answer.field("access-control-allow-origin").map(str::to_owned),
            revealed,
            answer.field("vary").map(str::to_owned),
        )
    };
    let vary = Some("origin".to_owned());
    assert_eq!(from("https://shop.example").await, (Some("https://shop.example".to_owned()), true, vary.clone()));
    assert_eq!(from("https://other.example").await, (None, false, vary));
}

/// T27.
#[tokio::test]
async fn the_apps_own_pages_pass_as_they_are() {
    const PAGE: &str = "<h1>Gone fishing</h1>";
    let app = RawApp::start(|request| {
        let status = request.split(' ').nth(1).expect("a target").trim_start_matches('/').to_owned();
        let head =
            format!("HTTP/1.1 {status} Own Words\r\nContent-Type: text/html\r\nRetry-After: 7\r\nPoolgate-Config: lie");
        (format!("{head}\r\nContent-Length: {}\r\n\r\n{PAGE}", PAGE.len()).into_bytes(), Then::Keep)
    })
    .await;
    let front = front(app.address).await;
    for status in [503, 404, 500, 413, 429, 299] {
        let answer = get(front.address, &format!("/{status}")).await;
        assert_eq!((answer.status, answer.text().as_str()), (status, PAGE));
        assert_eq!((answer.field("content-type"), answer.field("retry-after")), (Some("text/html"), Some("7")));
        assert_eq!(answer.field("poolgate-outcome"), None, "the app's own");
        assert!(answer.field("poolgate-config").is_some_and(|config| config.starts_with("e=")), "{answer:?}");
    }
}

/// T31.
#[tokio::test]
async fn what_uses_no_database_needs_no_permit() {
    let slow = async || {
        std::future::pending::<()>().await;
    };
    let app =
        axum_app(Router::new().route("/static/{file}", route_get(async || "style")).route("/orders", route_get(slow)))
            .await;
    let front = front_with(app, |settings| {
        settings.gate.max_concurrent_requests = 1;
        settings.gate.timeout = std::time::Duration::from_millis(10);
        settings.gate.bypass = vec!["/static/".to_owned()];
    })
    .await;
    let orders = tokio::spawn(get(front.address, "/orders"));
    eventually("in flight", || front.in_flight() == 1).await;
    assert_eq!(get(front.address, "/orders").await.status, 503, "the gate is full");
    for _ in 0..20 {
        let answer = get(front.address, "/static/style.css").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "style"));
        assert!(answer.field("poolgate-config").is_some());
    }
    let gate = front.poolgate.status().gate.expect("a gate");
    assert!(gate.admitted_total <= 1, "{gate:?}");
    orders.abort();
}

#[cfg(unix)]
#[tokio::test]
async fn an_app_may_listen_on_a_socket_in_the_file_system() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let path = folder.path().join("app.sock");
    let listener = tokio::net::UnixListener::bind(&path).expect("a socket");
    let app = Router::new().route("/", route_get(async |headers: HeaderMap| format!("{:?}", headers["host"])));
    tokio::spawn(axum::serve(listener, app).into_future());
    let front = front_of(&format!("unix:{}", path.display()), |_| {}).await;
    for _ in 0..3 {
        let answer = get(front.address, "/").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "\"shop.example\""));
    }
}

/// Cookies and other repeated fields come one by one, in their order.
#[tokio::test]
async fn repeated_fields_stay_apart() {
    let app = axum_app(Router::new().route(
        "/",
        route_get(async || {
            let mut headers = HeaderMap::new();
            for cookie in ["a=1", "b=2", "a=3"] {
                headers.append("set-cookie", cookie.parse().expect("a value"));
            }
            headers.into_response()
        }),
    ))
    .await;
    let front = front(app).await;
    let answer = get(front.address, "/").await;
    let cookies: Vec<_> = answer.head.lines().filter_map(|line| line.strip_prefix("set-cookie: ")).collect();
    assert_eq!(cookies, ["a=1", "b=2", "a=3"], "{}", answer.head);
}
