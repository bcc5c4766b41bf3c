//! The event stream and other long answers, over a real listener.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use axum::{Router, body::Body, routing::get};
use futures_util::{StreamExt, stream};
use http::StatusCode;
use poolgate::{Served, serve};
use poolgate_test_harness::{Server, eventually, server, server_with};
use poolgate_types::{ThrottlingConfig, routes};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Serves on a free port until the server closes.
async fn listen(server: &Server) -> (std::net::SocketAddr, JoinHandle<Served>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (app, poolgate) = (server.app.clone(), server.poolgate.clone());
    let serving =
        tokio::spawn(async move { serve(listener, app, &poolgate.settings().server, poolgate.closing()).await });
    (address, serving)
}

async fn ask(address: std::net::SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    stream
}

/// Reads until the text has arrived; fails when the stream ends or is silent.
async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    while !seen.contains(text) {
        let read = tokio::time::timeout(poolgate_test_harness::PATIENCE, stream.read(&mut buffer)).await;
        let length = read.unwrap_or_else(|_| panic!("no `{text}` in {seen}")).expect("readable");
        assert_ne!(length, 0, "ended without `{text}`: {seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    seen
}

#[tokio::test]
async fn the_first_event_is_the_config_and_the_last_is_bye() {
    let server = server(|_| {}).await;
    let (address, serving) = listen(&server).await;
    let mut stream = ask(address, &format!("{}?topics=config,status&client=abc", routes::EVENTS)).await;
    let begin = read_until(&mut stream, "event: status").await;
    assert!(begin.contains("content-type: text/event-stream"), "{begin}");
    let (retry, config) = (begin.find("retry: "), begin.find("event: config"));
    assert!(retry.is_some() && retry < config, "{begin}");
    let retry = begin.split("retry: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok()).expect("a number");
    assert!((1000..3500).contains(&retry), "spread by chance: {retry}");
    let data = begin.split("data: ").nth(1).and_then(|rest| rest.lines().next()).expect("data");
    let config: ThrottlingConfig = serde_json::from_str(data).expect("a config");
    assert_eq!(config.at(), server.poolgate.config().at());
    eventually("counted", || server.poolgate.status().clients.live == 1).await;
    eventually("in sync", || server.poolgate.status().clients.in_sync == 1).await;

    let begun = Instant::now();
    server.poolgate.close();
    let end = read_until(&mut stream, "event: bye").await;
    assert!(end.contains("event: bye\ndata: {\"return_within_ms\":2500}\n\n"), "{end}");
    assert_eq!(serving.await.expect("no panic"), Served::Drained);
    assert!(begun.elapsed() < Duration::from_secs(1), "an open stream held the shutdown up: {:?}", begun.elapsed());
    assert!(TcpStream::connect(address).await.is_err(), "the port is closed");
    assert!(server.poolgate.readiness().missing().is_some());
}

#[tokio::test]
async fn a_client_that_disconnects_is_no_longer_counted() {
    let server = server(|settings| settings.events.max_streams = 2).await;
    let (address, _serving) = listen(&server).await;
    let mut one = ask(address, routes::EVENTS).await;
    let mut two = ask(address, routes::EVENTS).await;
    read_until(&mut one, "event: config").await;
    read_until(&mut two, "event: config").await;
    eventually("counted", || server.poolgate.status().clients.live == 2).await;
    let refused = server.get(routes::EVENTS).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "two are open, as many as may be");
    assert_eq!(refused.header("content-type"), "application/problem+json");
    let retry_after = refused.header("retry-after").parse::<u32>();
    assert!(retry_after.is_ok_and(|seconds| seconds >= 10));
    drop((one, two));
    eventually("gone", || server.poolgate.status().clients.live == 0).await;
    let mut three = ask(address, routes::EVENTS).await;
    read_until(&mut three, "event: config").await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_dropped() {
    let server = server_with(
        |settings| settings.server.write_timeout = Duration::from_secs(1),
        |_, poolgate| {
            // More than the system's buffers hold.
            let large = async || {
                let chunks = stream::repeat_with(|| Ok::<_, Infallible>(vec![b'x'; 1 << 16])).take(1000);
                Body::from_stream(chunks)
            };
            Router::new().route("/large", get(large)).layer(poolgate.gate())
        },
    )
    .await;
    let (address, _serving) = listen(&server).await;
    let _stuck = ask(address, "/large").await;
    let gate = server.poolgate.gate();
    eventually("it is answered", || gate.in_flight() == 1).await;
    eventually("and given up", || gate.in_flight() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_vanishing_clients_leaves_no_permit_behind() {
    let server = server_with(
        |settings| settings.gate.max_concurrent_requests = 3,
        |pool, poolgate| {
            let pool = pool.clone();
            let slow = async move || {
                let _lease = pool.acquire().await.expect("a connection");
                tokio::time::sleep(Duration::from_millis(20)).await;
                "x".repeat(100_000)
            };
            Router::new().route("/slow", get(slow)).layer(poolgate.gate())
        },
    )
    .await;
    let (address, _serving) = listen(&server).await;
    let gate = server.poolgate.gate();
    let clients = (0..300_u64).map(|number| async move {
        tokio::time::sleep(Duration::from_millis(number)).await;
        let mut stream = ask(address, "/slow").await;
        tokio::time::sleep(Duration::from_millis(number % 40)).await;
        // Some vanish with half a body.
        let _ = tokio::time::timeout(Duration::from_millis(1), stream.read(&mut [0; 1000])).await;
    });
    futures_util::future::join_all(clients).await;
    eventually("empty", || (gate.in_flight(), gate.queued()) == (0, 0)).await;
    eventually("returned", || server.pool.counts().checked_out == 0).await;
    let status = server.get("/slow").await.status;
    assert_eq!(status, StatusCode::OK);
}
