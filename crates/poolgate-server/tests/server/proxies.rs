//! The server behind reverse proxies, load balancers and orchestrators.

use axum::body::Body;
use http::{Method, Request, StatusCode};
use poolgate_server::Settings;
use poolgate_test_harness::{Server, server};
use poolgate_types::routes;
use tower::ServiceExt;

async fn server_for(hosts: &'static [&'static str], bind: &str) -> Server {
    let change = |settings: &mut Settings| {
        settings.server.bind = bind.parse().expect("an address");
        settings.server.allowed_hosts = hosts.iter().map(|host| host.parse().expect("a pattern")).collect();
    };
    server(change).await
}

async fn status(server: &Server, path: &str, host: Option<&str>) -> StatusCode {
    let request = host.into_iter().fold(Request::get(path), |request, host| request.header("host", host));
    let request = request.body(Body::empty()).expect("a request");
    server.app.clone().oneshot(request).await.expect("infallible").status()
}

#[tokio::test]
async fn probes_are_answered_for_any_host() {
    for bind in ["127.0.0.1:8000", "0.0.0.0:8000"] {
        let server = server_for(&["app.example"], bind).await;
        for host in [Some("localhost"), Some("app.example"), Some("10.1.2.3:8000"), Some("evil.example"), None] {
            assert_eq!(status(&server, routes::LIVEZ, host).await, StatusCode::OK, "{host:?}");
            assert_eq!(status(&server, routes::READYZ, host).await, StatusCode::OK, "{host:?}");
        }
        assert_eq!(status(&server, routes::STATUS, None).await, StatusCode::FORBIDDEN);
        assert_eq!(status(&server, routes::METRICS, Some("evil.example")).await, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn a_proxy_may_pass_on_the_public_name_if_it_is_listed() {
    let server = server_for(&["app.example", "*.shop.example"], "127.0.0.1:8000").await;
    for host in ["app.example", "app.example:8443", "www.shop.example", "localhost:8000", "127.0.0.2:8000"] {
        assert_eq!(status(&server, routes::THROTTLING_CONFIG, Some(host)).await, StatusCode::OK, "{host}");
    }
    let refused = server.send(Method::GET, routes::THROTTLING_CONFIG, &[("host", "evil.example")]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let problem = refused.problem();
    assert!(problem.code == "foreign_host" && problem.detail.contains("server.allowed_hosts"), "{problem:?}");
}

#[tokio::test]
async fn a_rebound_name_is_refused_if_names_are_listed() {
    let server = server_for(&["localhost"], "0.0.0.0:8000").await;
    let evil = [("host", "evil.example"), ("origin", "http://evil.example")];
    for (method, path) in [
        (Method::GET, routes::STATUS),
        (Method::GET, routes::METRICS),
        (Method::GET, "/"),
        (Method::POST, routes::FORCE_CLEANUP),
    ] {
        assert_eq!(server.send(method, path, &evil).await.problem().code, "foreign_host", "{path}");
    }
    assert_eq!(status(&server, routes::STATUS, Some("127.0.0.1:8000")).await, StatusCode::OK);
}

#[tokio::test]
async fn the_servers_own_page_may_act_through_a_proxy_that_changes_the_host() {
    // A page without TLS: its browser does not state the site of a request.
    let page = [("host", "127.0.0.1:8000"), ("origin", "http://app.example")];
    let stranger = [("host", "127.0.0.1:8000"), ("origin", "http://evil.example")];
    let unlisted = server_for(&[], "127.0.0.1:8000").await;
    let refused = unlisted.post(routes::FORCE_CLEANUP, &page).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.problem().detail.contains("server.allowed_hosts"), "{}", refused.body);
    let listed = server_for(&["app.example"], "127.0.0.1:8000").await;
    assert_eq!(listed.post(routes::FORCE_CLEANUP, &page).await.status, StatusCode::OK);
    assert_eq!(listed.post(routes::FORCE_CLEANUP, &stranger).await.problem().code, "cross_site_request");
    let every_name = server_for(&["*"], "127.0.0.1:8000").await;
    assert_eq!(every_name.post(routes::FORCE_CLEANUP, &stranger).await.problem().code, "cross_site_request");
}

#[tokio::test]
async fn proxies_are_told_not_to_buffer_events() {
    let server = server(|_| {}).await;
    let request = Request::get(routes::EVENTS).header("host", "localhost").body(Body::empty()).expect("a request");
    let response = server.app.clone().oneshot(request).await.expect("infallible");
    let header = |name: &str| response.headers()[name].to_str().expect("text").to_owned();
    assert!(header("cache-control").contains("no-transform"), "or they compress it");
    assert_eq!(header("x-accel-buffering"), "no");
}
