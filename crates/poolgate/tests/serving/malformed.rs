//! Invalid HTTP is refused or closed in time. It never causes an error of the server, and never counts as two requests.

use std::time::Duration;

use axum::{Router, body::Bytes, routing::post};
use futures_util::future::join_all;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use Outcome::{Closed, OneAnswer, Refused};
use poolgate_test_harness::{PATIENCE, server_with};

/// The expected end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// One 4xx answer, then the end.
    Refused,
    /// No answer or one 4xx answer, then the end.
    Closed,
    /// One answer that is no 5xx, then the end: nothing after the first request is taken for a second one.
    OneAnswer,
}

/// A second request, hidden as in request smuggling.
const HIDDEN: &str = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn cases() -> Vec<(&'static str, Vec<u8>, Outcome)> {
    let get = |line: &str, fields: &str| format!("{line}\r\nHost: localhost\r\n{fields}\r\n").into_bytes();
    let echo =
        |fields: &str, body: &str| format!("POST /echo HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n{body}").into_bytes();
    let livez = "GET /livez HTTP/1.1";
    let close = "Connection: close\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n";
    vec![
        ("nothing at all", Vec::new(), Closed),
        ("zero bytes", vec![0; 100], Refused),
        ("line breaks alone", b"\r\n\r\n\r\n".to_vec(), Closed),
        ("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), Refused),
        ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), Closed),
        ("HTTP/0.9", b"GET /livez\r\n".to_vec(), Closed),
        ("HTTP/3.0", get("GET /livez HTTP/3.0", close), Refused),
        ("no version's number", get("GET /livez HTTP/", close), Refused),
        ("no target", get("GET  HTTP/1.1", close), Refused),
        ("a target with a blank", get("GET /li vez HTTP/1.1", close), Refused),
        ("a target without a slash", get("GET livez HTTP/1.1", close), Refused),
        ("a method of odd characters", get("G(T /livez HTTP/1.1", close), Refused),
        ("an unknown method", get("FROBNICATE /livez HTTP/1.1", close), Refused),
        ("a method of 10,000 letters", get(&format!("{} /livez HTTP/1.1", "G".repeat(10_000)), close), Refused),
        ("a target of 100,000 bytes", get(&format!("GET /{} HTTP/1.1", "a".repeat(100_000)), close), Closed),
        ("a field of 100,000 bytes", get(livez, &format!("X: {}\r\n{close}", "a".repeat(100_000))), Closed),
        ("5,000 fields", get(livez, &format!("{}{close}", "X: y\r\n".repeat(5_000))), Closed),
        ("a field without a colon", get(livez, &format!("Nonsense\r\n{close}")), Refused),
        ("a blank before the colon", get(livez, &format!("X : y\r\n{close}")), Refused),
        ("a field without a name", get(livez, &format!(": y\r\n{close}")), Refused),
        ("a folded field", get(livez, &format!("X: y\r\n z\r\n{close}")), Refused),
        ("a zero byte in a value", get(livez, &format!("X: a\0b\r\n{close}")), Refused),
        ("a carriage return in a value", get(livez, &format!("X: a\rb\r\n{close}")), Refused),
        ("two hosts", get("GET /api/v1/health/ping HTTP/1.1", &format!("Host: evil.example\r\n{close}")), Refused),
        ("an empty host", b"GET /api/v1/health/ping HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n".to_vec(), Refused),
        ("CONNECT", b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n".to_vec(), Closed),
        ("another server's target", get("GET http://evil.example/ HTTP/1.1", close), Refused),
        ("two equal lengths", echo(&format!("Content-Length: 5\r\nContent-Length: 5\r\n{close}"), "hello"), OneAnswer),
        ("two lengths", echo("Content-Length: 5\r\nContent-Length: 50\r\n", &format!("hello{HIDDEN}")), Closed),
        ("lengths in a list", echo("Content-Length: 5, 50\r\n", &format!("hello{HIDDEN}")), Closed),
        ("a length below zero", echo("Content-Length: -1\r\n", "hello"), Refused),
        ("a length with a sign", echo("Content-Length: +5\r\n", "hello"), Refused),
        ("a length in hexadecimal", echo("Content-Length: 0x5\r\n", "hello"), Refused),
        ("a length beyond 64 bits", echo("Content-Length: 99999999999999999999999\r\n", "hello"), Refused),
        ("a length that never comes", echo("Content-Length: 99999999999\r\n", "hello"), Refused),
        (
            "length and chunks",
            echo(&format!("Content-Length: 5\r\n{chunked}"), &format!("0\r\n\r\n{HIDDEN}")),
            OneAnswer,
        ),
        (
            "chunks and length",
            echo(&format!("{chunked}Content-Length: 5\r\n"), &format!("0\r\n\r\n{HIDDEN}")),
            OneAnswer,
        ),
        ("chunks twice", echo(&format!("{chunked}{chunked}"), &format!("0\r\n\r\n{HIDDEN}")), Closed),
        ("an encoding that is none", echo("Transfer-Encoding: xchunked\r\n", &format!("0\r\n\r\n{HIDDEN}")), Closed),
        (
            "chunks, but not last",
            echo("Transfer-Encoding: chunked, identity\r\n", &format!("0\r\n\r\n{HIDDEN}")),
            Closed,
        ),
        ("chunks in HTTP/1.0", b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec(), Closed),
        ("a chunk's size that is none", echo(chunked, "zz\r\nhello\r\n0\r\n\r\n"), Closed),
        ("a chunk's size below zero", echo(chunked, "-5\r\nhello\r\n0\r\n\r\n"), Closed),
        ("a chunk's size beyond 64 bits", echo(chunked, "fffffffffffffffff\r\nhello\r\n0\r\n\r\n"), Closed),
        ("a chunk that is longer than it says", echo(chunked, "2\r\nhello\r\n0\r\n\r\n"), Closed),
        ("an endless chunk extension", echo(chunked, &format!("5;{}", "a".repeat(100_000))), Closed),
        ("10,000 trailers", echo(chunked, &format!("0\r\n{}\r\n", "X: y\r\n".repeat(10_000))), Closed),
        ("an expectation that is none", get(livez, &format!("Expect: 200-maybe\r\n{close}")), OneAnswer),
        (
            "an upgrade",
            get(livez, "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings, close\r\nHTTP2-Settings: AAMAAABk\r\n"),
            OneAnswer,
        ),
        ("bare line feeds", b"GET /livez HTTP/1.1\nHost: localhost\nConnection: close\n\n".to_vec(), OneAnswer),
        (
            "an odd priority",
            get(livez, &format!("Priority: u=99, i=?5\r\nPoolgate-Deadline-Ms: -1\r\n{close}")),
            OneAnswer,
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_http_is_refused_in_time() {
    let settings = |settings: &mut poolgate_server::Settings| {
        settings.server.header_timeout = Duration::from_secs(1);
        settings.server.keep_alive_timeout = Duration::from_secs(1);
        settings.server.request_timeout = Duration::from_secs(2);
    };
    let echo = async |body: Bytes| body.len().to_string();
    let server = server_with(settings, |_, _| Router::new().route("/echo", post(echo))).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let serving = tokio::spawn({
        let (app, stop, settings) = (server.app.clone(), stop.clone(), server.poolgate.settings().server.clone());
        async move { poolgate::serve(listener, app, &settings, &stop).await }
    });
    let results = cases().into_iter().map(async |(name, bytes, expected)| {
        let answer = timeout(PATIENCE, exchange(address, &bytes)).await;
        let answer = answer.unwrap_or_else(|_| panic!("{name}: the connection hangs"));
        let statuses = statuses(&answer);
        let is_refusal = |status: &u16| (400..500).contains(status);
        let fits = match expected {
            Refused => statuses.len() == 1 && statuses.iter().all(is_refusal),
            Closed => statuses.len() <= 1 && statuses.iter().all(is_refusal),
            OneAnswer => statuses.len() == 1 && statuses.iter().all(|status| *status < 500),
        };
        (!fits).then(|| format!("{name}: {statuses:?}, not {expected:?}\n{answer}"))
    });
    let failures: Vec<String> = join_all(results).await.into_iter().flatten().collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let alive = exchange(address, b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert_eq!(statuses(&alive), [200]);
    stop.cancel();
    let _ = serving.await.expect("it ends");
}

/// All that the server sends until it closes.
async fn exchange(address: std::net::SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    // The server may close before it has read all.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn statuses(answer: &str) -> Vec<u16> {
    let lines = answer.split("HTTP/1.").skip(1);
    lines.filter_map(|rest| rest.split(' ').nth(1)?.get(..3)?.parse().ok()).collect()
}
