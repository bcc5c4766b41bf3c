//! Apps that are down, hang, answer nonsense or die halfway.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time,
};

use crate::{
    client::{Client, ask, get},
    front::{eventually, front, front_with},
    raw_app::{RawApp, Then, ok},
};

/// A port without a listener.
async fn unused() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address")
}

#[tokio::test]
async fn an_app_that_is_down_is_named_and_served_once_it_is_there() {
    let address = unused().await;
    let front = front_with(address, |settings| settings.gate.timeout = Duration::from_millis(50)).await;
    let answer = get(front.address, "/").await;
    assert_eq!((answer.status, answer.field("poolgate-outcome")), (502, Some("upstream_unreachable")), "{answer:?}");
    assert_eq!(answer.field("proxy-status"), Some("poolgate; error=connection_refused"));
    assert!(answer.text().contains("\"code\":\"upstream_unreachable\""), "{}", answer.text());
    assert!(answer.field("poolgate-config").is_some());
    eventually("lost", || front.poolgate.config().circuit_breaker_open).await;
    let answer = get(front.address, "/").await;
    assert_eq!((answer.status, answer.field("poolgate-outcome")), (503, Some("open")), "{answer:?}");
    let listener = TcpListener::bind(address).await.expect("the same port");
    tokio::spawn(axum::serve(listener, axum::Router::new().fallback(async || "back")).into_future());
    let begun = Instant::now();
    while get(front.address, "/").await.status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(15), "not served again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn the_status_says_how_the_app_is_and_what_goes_through_to_it() {
    let address = unused().await;
    let front = front(address).await;
    eventually("the first status", || front.poolgate.status().gateway.is_some()).await;
    let gateway = || front.poolgate.status().gateway.expect("the status of a gateway");
    assert_eq!(get(front.address, "/").await.status, 502);
    eventually("named", || gateway().trouble.is_some() && gateway().failed_total == 1).await;
    assert_eq!((gateway().upstream, gateway().answered_total), (format!("http://{address}"), 0));
    let failure = gateway().last_failure.expect("the failure");
    assert_eq!(failure.kind, "connection_refused");
    assert!((0.0..30.0).contains(&failure.seconds_ago), "{failure:?}");

    let listener = TcpListener::bind(address).await.expect("the same port");
    RawApp::at(listener, |_| {
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n".to_vec(), Then::Keep)
    });
    eventually("used again", || gateway().trouble.is_none() && !front.poolgate.config().circuit_breaker_open).await;
    let mut client = Client::connect(front.address).await;
    client.send("GET /events HTTP/1.1\r\nHost: shop.example\r\n\r\n").await;
    client.until(b"data: 1\n\n").await.expect("the first event");
    eventually("a stream", || (gateway().streams, gateway().answered_total) == (1, 1)).await;
    assert_eq!(gateway().max_streams, 10_000);
    drop(client);
    eventually("none", || gateway().streams == 0).await;
}

#[tokio::test]
async fn an_app_that_hangs_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    let front = front_with(address, |settings| settings.upstream.response_timeout = Duration::from_secs(1)).await;
    let answer = get(front.address, "/").await;
    assert_eq!((answer.status, answer.field("poolgate-outcome")), (504, Some("upstream_timeout")), "{answer:?}");
    assert_eq!(answer.field("proxy-status"), Some("poolgate; error=http_response_timeout"));
    assert!(answer.text().contains("\"code\":\"upstream_timeout\""), "{}", answer.text());
    eventually("free", || front.in_flight() == 0).await;
    assert!(!front.poolgate.config().circuit_breaker_open, "slow is not gone");
}

#[tokio::test]
async fn nonsense_is_a_failure_of_the_app() {
    for nonsense in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 OK\r\n\r\n",
        "\r\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    ] {
        let app = RawApp::start(move |_| (nonsense.as_bytes().to_vec(), Then::Close)).await;
        let front = front(app.address).await;
        let answer = get(front.address, "/").await;
        assert_eq!(
            (answer.status, answer.field("poolgate-outcome")),
            (502, Some("upstream_unreachable")),
            "{nonsense:?}"
        );
        assert_eq!(app.requests().len(), 1, "{nonsense:?}: sent once");
        eventually("free", || front.in_flight() == 0).await;
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_never_taken_for_a_whole_one() {
    for broken in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let app = RawApp::start(move |_| (broken.as_bytes().to_vec(), Then::Close)).await;
        let front = front(app.address).await;
        let mut client = Client::connect(front.address).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(client.answer().await.is_none(), "{broken:?}");
        eventually("free", || front.in_flight() == 0).await;
    }
}

/// An app whose kept connections are closed at the next request: each answers once.
async fn closes_kept_connections(executed: Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let executed = Arc::clone(&executed);
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                if stream.read(&mut request).await.unwrap_or(0) > 0 {
                    executed.fetch_add(1, SeqCst);
                    stream.write_all(&ok("fine")).await.expect("sent");
                    // It takes the next request and closes without an answer.
                    if stream.read(&mut request).await.unwrap_or(0) > 0 {
                        executed.fetch_add(1, SeqCst);
                    }
                }
            });
        }
    });
    address
}

/// T18, T19.
#[tokio::test]
async fn a_kept_connection_that_closes_costs_a_get_nothing_and_a_post_is_never_sent_twice() {
    let executed = Arc::default();
    let front = front(closes_kept_connections(Arc::clone(&executed)).await).await;
    for _ in 0..4 {
        assert_eq!(get(front.address, "/").await.status, 200);
        // The connection is kept a moment after the answer.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let before = executed.load(SeqCst);
    let answer = ask(front.address, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").await;
    let sent = executed.load(SeqCst) - before;
    assert_eq!(sent, 1, "{answer:?}");
    assert!(answer.status == 502 || answer.status == 200);
}

/// An app that closes connections after this silence, and names each request that it executes.
async fn closes_silent_connections(silence: Duration, executed: Arc<Mutex<Vec<String>>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let executed = Arc::clone(&executed);
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                while let Ok(Ok(length @ 1..)) = time::timeout(silence, stream.read(&mut request)).await {
                    let head = String::from_utf8_lossy(&request[..length]);
                    let name = head.split(" HTTP/1.1").next().unwrap_or_default().to_owned();
                    executed.lock().expect("not poisoned").push(name);
                    if stream.write_all(&ok("fine")).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// T18: requests that come just when the app closes the connection, which the gateway is told to keep for longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_meet_a_closing_connection_are_answered_and_no_post_is_executed_twice() {
    const SILENCE: Duration = Duration::from_millis(300);
    let executed = Arc::default();
    let app = closes_silent_connections(SILENCE, Arc::clone(&executed)).await;
    let front = front_with(app, |settings| settings.upstream.keep_alive = Duration::from_secs(10)).await;
    for round in 0..16_u64 {
        // From 4 ms before the app closes to 4 ms after.
        time::sleep(SILENCE - Duration::from_millis(4) + Duration::from_micros(round * 500)).await;
        let one_by_one = (0..8).map(|number| {
            let (get_path, post_path) = (format!("/get-{round}-{number}"), format!("/post-{round}-{number}"));
            async move {
                let answer = get(front.address, &get_path).await;
                assert_eq!(answer.status, 200, "{get_path}: {answer:?}");
                let head = format!("POST {post_path} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
                let answer = ask(front.address, &head).await;
                assert!(matches!(answer.status, 200 | 502), "{post_path}: {answer:?}");
            }
        });
        join_all(one_by_one).await;
    }
    let mut posts = executed.lock().expect("not poisoned").clone();
    posts.retain(|name| name.starts_with("POST "));
    let all = posts.len();
    posts.sort_unstable();
    posts.dedup();
    assert_eq!(posts.len(), all, "one was executed twice");
    assert!(all > 16 * 7, "{all}");
}

/// T19.
#[tokio::test]
async fn an_app_that_resets_everything_is_not_asked_much_more_often() {
    let app = RawApp::start(|_| (Vec::new(), Then::Close)).await;
    let front = front(app.address).await;
    for _ in 0..20 {
        assert_eq!(get(front.address, "/").await.status, 502);
    }
    let answer = ask(front.address, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").await;
    assert_eq!(answer.status, 502);
    assert!(app.requests().len() <= 25, "{}", app.requests().len());
}

/// Connections that the app says it closes are not used again.
#[tokio::test]
async fn the_apps_word_about_its_connections_is_obeyed() {
    for fields in ["Connection: close\r\n", "Keep-Alive: timeout=1\r\n"] {
        let app = RawApp::answering(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok")).await;
        let front = front(app.address).await;
        for _ in 0..3 {
            let answer = get(front.address, "/").await;
            assert_eq!((answer.status, answer.field("keep-alive")), (200, None));
        }
        assert_eq!(app.connections(), 3, "{fields}");
    }
}
