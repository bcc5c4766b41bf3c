//! Clients that vanish, send too much, or request unknown routes.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use http::{Method, StatusCode};
use poolgate::demo::{
    load::{Load, LoadRequest},
    routes as demo,
};
use poolgate_e2e::Server;
use poolgate_types::{Level, Problem, codes, routes};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time,
};
use tokio_util::sync::CancellationToken;

use crate::{alone, comes_to_rest, on_both, share};

/// Pseudo-random numbers from a fixed seed.
fn scatter(number: u64, bound: u64) -> u64 {
    (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33) % bound
}

/// Sends a whole request or only its beginning, and closes the connection a little later.
async fn vanish(address: SocketAddr, number: u64) -> Result<()> {
    time::sleep(Duration::from_millis(scatter(number + 1, 2_000))).await;
    let mut socket = TcpStream::connect(address).await?;
    let hold_ms = scatter(number + 2, 300);
    let request = format!("GET {}?hold_ms={hold_ms} HTTP/1.1\r\nHost: {address}\r\n\r\n", demo::LAB_HOLD);
    let sent = if number.is_multiple_of(10) { request.len() / 2 } else { request.len() };
    socket.write_all(&request.as_bytes()[..sent]).await?;
    time::sleep(Duration::from_millis(scatter(number + 3, 250))).await;
    Ok(())
}

#[tokio::test]
async fn vanishing_clients_leave_no_permit_or_connection_taken() -> Result<()> {
    let _machine = share().await;
    on_both(async |server, _| {
        let mut storm = JoinSet::new();
        for number in 0..800 {
            storm.spawn(vanish(server.address(), number));
        }
        while let Some(vanished) = storm.join_next().await {
            vanished??;
        }
        comes_to_rest(server).await?;
        let status = server.status().await?;
        let gate = status.gate.context("the server has no gate")?;
        assert!(gate.admitted_total > 200, "{gate:?}");
        assert!(status.pool.idle + status.pool.connecting <= status.pool.capacity, "{:?}", status.pool);
        // The storm must be forgotten first: until then one client gets one client's share.
        let calm = async |server: &Server| server.config().await.is_ok_and(|config| !config.enforced);
        assert!(server.wait_until(Duration::from_secs(15), calm).await, "{:?}", server.status().await?);
        // All permits and connections are back: the gate can be filled completely.
        let mut holds = JoinSet::new();
        for _ in 0..gate.max_concurrent_requests {
            let client = server.client().clone();
            holds.spawn(async move { client.get("/api/v1/lab/hold?hold_ms=400").await });
        }
        for answer in holds.join_all().await {
            assert_eq!(answer?.status, StatusCode::OK);
        }
        comes_to_rest(server).await
    })
    .await
}

/// Connects from another address of this machine and sends a request.
async fn send_from(last: u8, server: SocketAddr, text: &str) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, last], 0)))?;
    let mut stream = socket.connect(server).await?;
    stream.write_all(text.as_bytes()).await?;
    Ok(stream)
}

#[tokio::test]
async fn bodies_that_never_arrive_block_no_other_request() -> Result<()> {
    let _machine = share().await;
    on_both(async |server, _| {
        let order = "POST /api/v1/shop/orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
        let mut slow = Vec::new();
        for framing in
            ["Content-Length: 100\r\n\r\n", "Content-Length: 100\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n"]
        {
            for _ in 0..30 {
                slow.push(send_from(2, server.address(), &format!("{order}{framing}")).await?);
            }
        }
        time::sleep(Duration::from_millis(300)).await;
        for _ in 0..20 {
            let answer = server.client().get("/api/v1/lab/hold?hold_ms=20").await?;
            assert_eq!(answer.status, StatusCode::OK, "{:?}", server.status().await?.gate);
        }
        assert_eq!(server.status().await?.throttling_level, Level::Normal);
        drop(slow);
        comes_to_rest(server).await
    })
    .await
}

/// Sends one request after another, at most ten a second, until dropped. The test is about the gate, not about the CPU
/// time of the flood itself.
async fn flood(server: SocketAddr, request: String) -> Result<()> {
    let mut stream = send_from(2, server, "").await?;
    let mut answer = vec![0; 16 << 10];
    loop {
        stream.write_all(request.as_bytes()).await?;
        ensure!(stream.read(&mut answer).await? > 0, "closed");
        time::sleep(Duration::from_millis(100)).await;
    }
}

/// Connections of the flood. In the queue of the gate there is room for most of them.
const FLOOD: u32 = 60;

/// Honest users keep their share while another client sends all it can and claims to be many clients or a proxy.
#[tokio::test]
async fn a_flood_from_another_address_leaves_honest_users_their_share() -> Result<()> {
    let _machine = alone().await;
    let hold = format!("GET {}?hold_ms=200 HTTP/1.1\r\nHost: localhost\r\n", demo::LAB_HOLD);
    for (what, streams, header) in [
        ("a plain flood", 0, ""),
        ("a flood behind streams that are not read", 500, ""),
        ("a flood that claims to come from a proxy", 0, "X-Forwarded-For: 203.0.113.7\r\n"),
    ] {
        let server = Server::builder().demo().start()?;
        server.ready().await?;
        let request = LoadRequest { users: 100, requests_per_second: 200.0, hold_ms: 200, poolgate: true, seconds: 60 };
        let load = Load::start(server.address(), request, 7, &CancellationToken::new())?;
        time::sleep(Duration::from_secs(10)).await;
        let before = load.report().goodput_per_second;
        let mut fake = Vec::new();
        for number in 0..streams {
            let stream = format!("GET {}?client=zz{number} HTTP/1.1\r\nHost: localhost\r\n\r\n", routes::EVENTS);
            fake.push(send_from(2, server.address(), &stream).await?);
        }
        let mut attack = JoinSet::new();
        for _ in 0..FLOOD {
            attack.spawn(flood(server.address(), format!("{hold}{header}\r\n")));
        }
        // It is found out within ten seconds or so; the last five are measured.
        time::sleep(Duration::from_secs(18)).await;
        let during = load.report().goodput_per_second;
        eprintln!("{what}: {before:.0} before, {during:.0} during");
        // Without the check of claims a quarter is left. On a machine with two idle cores 79 to 91 % are.
        assert!(during > 0.7 * before, "{what}: {before} before, {during} during");
    }
    Ok(())
}

#[tokio::test]
async fn requests_beyond_the_gate_are_rejected_with_a_reason() -> Result<()> {
    let _machine = share().await;
    on_both(async |server, _| {
        let mut requests = JoinSet::new();
        for _ in 0..100 {
            let client = server.client().clone();
            requests.spawn(async move { client.get("/api/v1/lab/hold?hold_ms=1500").await });
        }
        let (mut served, mut rejected) = (0, 0);
        for answer in requests.join_all().await {
            let answer = answer?;
            if answer.status == StatusCode::OK {
                served += 1;
                continue;
            }
            rejected += 1;
            let problem = answer.problem()?;
            match answer.status {
                StatusCode::SERVICE_UNAVAILABLE => {
                    assert_eq!(
                        (&*problem.code, &*problem.kind),
                        (codes::DATABASE_UNAVAILABLE, Problem::TEMPORARY_REDUCED_CAPACITY)
                    );
                }
                StatusCode::TOO_MANY_REQUESTS => assert_eq!(problem.code, codes::QUOTA_EXCEEDED),
                status => panic!("{status}"),
            }
            let retry_after: u32 = answer.header("retry-after").unwrap_or_default().parse()?;
            assert!((1..=60).contains(&retry_after));
            assert!(answer.header("poolgate-config").is_some());
        }
        assert_eq!(served, 25, "{rejected} rejected");
        comes_to_rest(server).await
    })
    .await
}

#[tokio::test]
async fn oversized_requests_are_refused() -> Result<()> {
    let _machine = share().await;
    let server = Server::builder().demo().start()?;
    server.ready().await?;
    let json = [("content-type", "application/json")];
    let body = format!("{{\"customer_id\": 1, \"lines\": [], \"note\": \"{}\"}}", "x".repeat(4 << 20));
    for path in ["/api/v1/shop/orders", demo::LAB_LOAD] {
        match server.client().send(Method::POST, path, &json, &body).await {
            Ok(answer) => {
                assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
                answer.problem()?;
            }
            // The server may close the connection before the rest is sent.
            Err(error) => assert!(!format!("{error:#}").contains("in time"), "{path}: {error:#}"),
        }
    }
    let long = "x".repeat(300 << 10);
    let answer = server.client().send(Method::GET, routes::PING, &[("x-long", &long)], "").await;
    if let Ok(answer) = answer {
        assert_eq!(answer.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    assert_eq!(server.get(routes::PING).await?.status, StatusCode::OK);
    comes_to_rest(&server).await
}

#[tokio::test]
async fn unknown_routes_answer_a_problem_document() -> Result<()> {
    let _machine = share().await;
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("index.html"), "<!doctype html><title>Poolgate</title>")?;
    let server = Server::builder().demo().argument("--www").argument(folder.path()).start()?;
    for path in ["/api/v1/nothing", "/api/v1/health/database/nothing", "/api/", "/nothing.js", "/../poolgate.toml"] {
        let answer = server.get(path).await?;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        answer.problem()?;
    }
    for (method, path, allowed) in [
        (Method::DELETE, routes::PING, "GET"),
        (Method::POST, routes::STATUS, "GET"),
        (Method::GET, routes::FORCE_CLEANUP, "POST"),
        (Method::POST, "/api/v1/shop/products", "GET"),
        (Method::PUT, demo::LAB_LOAD, "DELETE"),
        (Method::POST, "/", "GET"),
    ] {
        let answer = server.client().send(method.clone(), path, &[], "").await?;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        assert!(answer.header("allow").is_some_and(|allow| allow.contains(allowed)), "{path}: {:?}", answer.headers);
        answer.problem()?;
    }
    let page = server.get("/").await?;
    assert_eq!((page.status, page.header("content-type")), (StatusCode::OK, Some("text/html; charset=utf-8")));
    assert!(page.header("content-security-policy").is_some_and(|policy| policy.contains("default-src 'none'")));
    Ok(())
}
