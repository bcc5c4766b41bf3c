//! The event stream.

use http::{Request, StatusCode};
use http_body_util::BodyExt;
use poolgate_test_harness::server;
use poolgate_types::routes;
use tower::ServiceExt;

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let server = server(|_| {}).await;
    for query in ["topics=everything", "client=", "client=a%20b", "topics=config,"] {
        let answer = server.get(&format!("{}?{query}", routes::EVENTS)).await;
        assert_eq!((answer.status, answer.problem().code.as_str()), (StatusCode::BAD_REQUEST, "invalid_request"));
    }
}

#[tokio::test]
async fn heartbeats_name_the_version_in_force() {
    let server = server(|settings| settings.control.clients = false).await;
    let version = server.poolgate.config().version;
    let request = Request::get(routes::EVENTS).header("host", "localhost").body(axum::body::Body::empty());
    let response = server.app.clone().oneshot(request.expect("a request")).await.expect("infallible");
    let mut body = response.into_body();
    let mut next = async || {
        let frame = body.frame().await.expect("a frame").expect("no error").into_data().expect("data");
        String::from_utf8(frame.to_vec()).expect("text")
    };
    assert!(next().await.contains("event: config"));
    // From here on nothing but timers is waited for.
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let heartbeat = next().await;
    assert!(heartbeat.starts_with("event: heartbeat\ndata: {\"epoch\":"), "{heartbeat}");
    assert!(heartbeat.contains(&format!("\"version\":{version}")), "{heartbeat}");
    assert_eq!(begun.elapsed().as_secs(), 15);
}
