//! Slow senders and readers take no places from others, in this server and in others.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    response::IntoResponse,
    routing::{get, post},
};
use futures_util::{StreamExt, future::join_all, stream};
use http::StatusCode;
use poolgate::serve;
use poolgate_pool::Pool;
use poolgate_server::Poolgate;
use poolgate_test_harness::{PATIENCE, Server, eventually, server_with};
use sqlx::Sqlite;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time,
};

/// More of them than permits.
const SLOW: usize = 6;
const PERMITS: u32 = 3;

type SqlitePool = Pool<Sqlite>;

fn routes(pool: &SqlitePool, poolgate: &Poolgate) -> Router {
    Router::new()
        .route("/upload", post(upload))
        .route("/fast", get(fast))
        .route("/whole", get(async || vec![b'x'; 10 << 20]))
        .route("/pieces", get(async || Body::from_stream(pieces(160))))
        .route("/endless", get(endless))
        .route("/rows", get(rows))
        .with_state(pool.clone())
        .layer(poolgate.gate())
}

/// Authenticates before it reads the body, like an app, and returns the body's size.
async fn upload(State(pool): State<SqlitePool>, body: Body) -> Result<String, StatusCode> {
    one(&pool).await?;
    let body = axum::body::to_bytes(body, usize::MAX).await.map_err(|_| StatusCode::BAD_REQUEST)?;
    one(&pool).await?;
    Ok(body.len().to_string())
}

async fn fast(State(pool): State<SqlitePool>) -> Result<String, StatusCode> {
    one(&pool).await.map(|one| one.to_string())
}

fn pieces(count: usize) -> impl stream::Stream<Item = Result<Bytes, Infallible>> {
    stream::repeat_with(|| Ok(Bytes::from(vec![b'x'; 64 << 10]))).take(count)
}

/// Endless lines after a query.
async fn endless(State(pool): State<SqlitePool>) -> Result<impl IntoResponse, StatusCode> {
    one(&pool).await?;
    let lines = stream::unfold((), async |()| {
        time::sleep(Duration::from_millis(5)).await;
        Some((Ok::<_, Infallible>(Bytes::from_static(b"{}\n")), ()))
    });
    Ok(([("content-type", "application/x-ndjson")], Body::from_stream(lines)))
}

/// Rows in the order of the database: two, then more than any client reads.
async fn rows(State(pool): State<SqlitePool>) -> Body {
    let lease = stream::once(async move { pool.acquire().await.expect("a connection") });
    let rows = lease.flat_map(|lease| {
        pieces(160).map(move |piece| {
            let _ = &lease;
            piece
        })
    });
    Body::from_stream(rows)
}

async fn one(pool: &SqlitePool) -> Result<i64, StatusCode> {
    let mut lease = pool.acquire().await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    sqlx::query_scalar("SELECT 1").fetch_one(&mut lease).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

/// Which accept loop serves.
#[derive(Clone, Copy, Debug)]
enum Host {
    Ours,
    Axums,
}

async fn start(host: Host, body_timeout: Duration) -> (Server, SocketAddr) {
    let server = server_with(
        |settings| {
            settings.gate.max_concurrent_requests = PERMITS;
            settings.server.max_body_bytes = 16 << 20;
            settings.server.body_timeout = body_timeout;
        },
        routes,
    )
    .await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (app, poolgate) = (server.app.clone(), server.poolgate.clone());
    tokio::spawn(async move {
        match host {
            Host::Ours => drop(serve(listener, app, &poolgate.settings().server, poolgate.closing()).await),
            Host::Axums => {
                let app = app.into_make_service_with_connect_info::<SocketAddr>();
                axum::serve(listener, app).await.expect("it serves");
            }
        }
    });
    (server, address)
}

async fn send(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(text.as_bytes()).await.expect("sent");
    stream
}

/// The status and the body until the connection ends.
async fn answer(mut stream: TcpStream) -> (u16, String) {
    let mut text = String::new();
    let read = time::timeout(PATIENCE, stream.read_to_string(&mut text)).await;
    read.expect("in time").expect("readable");
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no answer: {text}")), text)
}

/// Others are served while many clients are slow, for longer than the gate's timeout.
async fn others_are_served(address: SocketAddr, what: &str) {
    for turn in 0..8 {
        let stream = send(address, "GET /fast HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
        let (status, text) = answer(stream).await;
        assert_eq!(status, 200, "{what}, request {turn}: {text}");
        time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn bodies_that_never_arrive_block_no_other_request() {
    for host in [Host::Ours, Host::Axums] {
        let (server, address) = start(host, Duration::from_secs(60)).await;
        let large = "x".repeat(100_000);
        for (what, fields, begin) in [
            ("nothing of a small body", "content-length: 100", ""),
            ("a byte of a small body", "content-length: 100", "x"),
            ("nothing of a body of unknown length", "transfer-encoding: chunked", ""),
            ("a piece of a body of unknown length", "transfer-encoding: chunked", "1\r\nx\r\n"),
            ("nothing of a large body", "content-length: 1000000", ""),
            ("a part of a large body", "content-length: 1000000", &*large),
            ("nothing of a body that is asked about", "content-length: 100\r\nexpect: 100-continue", ""),
        ] {
            let request = format!("POST /upload HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n\r\n{begin}");
            let slow = join_all((0..SLOW).map(|_| send(address, &request))).await;
            others_are_served(address, &format!("{host:?}, {what}")).await;
            let (gate, pool) = (server.poolgate.gate(), &server.pool);
            eventually("without permits", || (gate.in_flight(), pool.counts().checked_out) == (0, 0)).await;
            drop(slow);
        }
    }
}

#[tokio::test]
async fn a_slow_body_arrives_completely() {
    let (server, address) = start(Host::Ours, Duration::from_secs(60)).await;
    for (fields, pieces, expected) in [
        ("content-length: 3", vec!["a".to_owned(), "b".to_owned(), "c".to_owned()], "3"),
        ("transfer-encoding: chunked", ["2\r\nab\r\n", "3\r\ncde\r\n", "0\r\n\r\n"].map(str::to_owned).to_vec(), "5"),
        ("content-length: 90000", vec!["x".repeat(45_000); 2], "90000"),
        ("content-length: 3\r\nexpect: 100-continue", vec!["abc".to_owned()], "3"),
    ] {
        let head = format!("POST /upload HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{fields}\r\n\r\n");
        let mut stream = send(address, &head).await;
        for piece in pieces {
            time::sleep(Duration::from_millis(60)).await;
            eventually("set aside", || server.poolgate.gate().in_flight() == 0).await;
            stream.write_all(piece.as_bytes()).await.expect("sent");
        }
        let (_, text) = answer(stream).await;
        assert!(text.contains("200 OK") && text.ends_with(&format!("\r\n\r\n{expected}")), "{fields}: {text}");
    }
}

#[tokio::test]
async fn a_body_that_takes_too_long_gets_a_408() {
    let (server, address) = start(Host::Axums, Duration::from_secs(1)).await;
    for fields in ["content-length: 100", "transfer-encoding: chunked", "content-length: 1000000"] {
        let request = format!("POST /upload HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n\r\n");
        let (status, text) = answer(send(address, &request).await).await;
        assert_eq!(status, 408, "{fields}: {text}");
        for part in ["application/problem+json", "body_timeout", "poolgate-config", "connection: close"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    assert_eq!(server.poolgate.gate().in_flight(), 0);
}

#[tokio::test]
async fn stalled_readers_block_no_other_request() {
    for host in [Host::Ours, Host::Axums] {
        let (server, address) = start(host, Duration::from_secs(60)).await;
        for path in ["/whole", "/pieces", "/endless"] {
            let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
            let slow = join_all((0..SLOW).map(|_| send(address, &request))).await;
            others_are_served(address, &format!("{host:?}, {path}")).await;
            let gate = server.poolgate.gate();
            eventually("without permits", || gate.in_flight() == 0).await;
            drop(slow);
        }
    }
}

#[tokio::test]
async fn slow_readers_block_no_other_request() {
    let (server, address) = start(Host::Axums, Duration::from_secs(60)).await;
    for path in ["/whole", "/pieces", "/endless"] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        let readers: Vec<_> = join_all((0..SLOW).map(|_| send(address, &request))).await;
        let reading = tokio::spawn(join_all(readers.into_iter().map(|mut reader| async move {
            let mut buffer = vec![0; 10_000];
            while reader.read(&mut buffer).await.is_ok_and(|length| length > 0) {
                time::sleep(Duration::from_millis(20)).await;
            }
        })));
        others_are_served(address, path).await;
        let gate = server.poolgate.gate();
        eventually("without permits", || gate.in_flight() == 0).await;
        reading.abort();
    }
}

#[tokio::test]
async fn a_response_streamed_from_the_database_holds_its_permit_until_its_end() {
    let (server, address) = start(Host::Axums, Duration::from_secs(60)).await;
    let request = "GET /rows HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let mut stalled = send(address, request).await;
    let gate = server.poolgate.gate();
    eventually("a connection in use", || server.pool.counts().checked_out == 1).await;
    time::sleep(Duration::from_secs(1)).await;
    assert_eq!((gate.in_flight(), server.pool.counts().checked_out), (1, 1), "the database feels it");
    let mut rest = Vec::new();
    stalled.read_to_end(&mut rest).await.expect("readable");
    assert!(rest.len() > 10 << 20, "{}", rest.len());
    eventually("back", || (gate.in_flight(), server.pool.counts().checked_out) == (0, 0)).await;
}
