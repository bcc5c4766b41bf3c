//! Where messages begin and end: what others could understand in another way is refused or written anew.

use crate::{
    client::{Client, ask, get},
    front::{front, front_with},
    raw_app::{RawApp, Then, ok},
};

/// T1.
#[tokio::test]
async fn two_lengths_become_one_and_the_connection_ends() {
    let app = RawApp::answering(ok("fine")).await;
    let front = front(app.address).await;
    let mut client = Client::connect(front.address).await;
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        .await;
    let answer = client.answer().await.expect("an answer");
    assert!(client.is_closed().await, "{answer:?}");
    if answer.status == 200 {
        let [request] = &app.requests()[..] else { panic!("{:?}", app.requests()) };
        let head = request.to_ascii_lowercase();
        assert!(head.contains("content-length") != head.contains("transfer-encoding"), "{request}");
        assert!(request.contains("abc"), "{request}");
    }
}

/// T2, T3.
#[tokio::test]
async fn unclear_framing_is_refused_and_the_app_sees_nothing() {
    let app = RawApp::answering(ok("fine")).await;
    let front = front(app.address).await;
    let chunk = "3\r\nabc\r\n0\r\n\r\n";
    for head in [
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3",
        "POST / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\nContent-Length: 3",
        "POST / HTTP/1.1\r\nHost: a\r\n folded: b\r\nContent-Length: 3",
    ] {
        let mut client = Client::connect(front.address).await;
        client.send(format!("{head}\r\n\r\n{chunk}")).await;
        let answer = client.answer().await.unwrap_or_else(|| panic!("{head}: no answer"));
        assert_eq!(answer.status, 400, "{head}: {answer:?}");
        assert!(client.is_closed().await, "{head}");
    }
    assert_eq!(app.requests(), Vec::<String>::new());
}

/// T3.
#[tokio::test]
async fn a_tab_a_bare_line_feed_and_a_chunks_extension_are_written_anew_or_refused() {
    let app = RawApp::answering(ok("fine")).await;
    let front = front(app.address).await;
    let extension = "e".repeat(1 << 20);
    for request in [
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_owned(),
        "POST / HTTP/1.1\nHost: a\nContent-Length: 3\n\nabc".to_owned(),
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n".to_owned(),
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;{extension}\r\nabc\r\n0\r\n\r\n"),
    ] {
        let mut client = Client::connect(front.address).await;
        // The gateway may end the connection before it has read all of this.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut client.stream, request.as_bytes()).await;
        let _ = client.answer().await;
    }
    for request in app.requests() {
        let (head, body) = request.split_once("\r\n\r\n").expect("a head");
        assert!(head.split("\r\n").all(|line| !line.contains(['\n', '\t'])), "{head:?}");
        assert!(body == "abc" || body == "3\r\nabc\r\n0\r\n\r\n", "{body:?}");
    }
}

/// T4.
#[tokio::test]
async fn a_length_beside_chunks_does_not_cut_the_apps_answer() {
    let hundred = "x".repeat(100);
    let app = RawApp::answering(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n{hundred}\r\n0\r\n\r\n"
    ))
    .await;
    let front = front(app.address).await;
    let mut client = Client::connect(front.address).await;
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        match client.answer().await {
            Some(answer) if answer.status == 200 => {
                assert_eq!((answer.body.len(), answer.field("content-length")), (100, None), "{}", answer.head);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// T5.
#[tokio::test]
async fn answers_without_a_body_keep_their_length_and_the_connection() {
    let app = RawApp::start(|request| {
        let answer = match request.split(' ').nth(1) {
            Some("/head") => "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
            Some("/none") => "HTTP/1.1 204 No Content\r\n\r\n",
            Some("/none-0") => "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
            _ => "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: \"a\"\r\n\r\n",
        };
        (answer.as_bytes().to_vec(), Then::Keep)
    })
    .await;
    let front = front(app.address).await;
    let mut client = Client::connect(front.address).await;
    for (method, path, status, length) in [
        ("HEAD", "/head", 200, Some("1000")),
        ("GET", "/none", 204, None),
        ("GET", "/none-0", 204, None),
        // hyper leaves out the length that a 304 may have.
        ("GET", "/same", 304, None),
        ("HEAD", "/head", 200, Some("1000")),
    ] {
        client.send(format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let answer = client.answer_to(method).await.expect("an answer");
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.field("content-length"), length, "{path}: {}", answer.head);
    }
    assert_eq!(app.connections(), 1, "one connection to the app carries all");
}

/// T6, T7.
#[tokio::test]
async fn other_upgrades_are_ordinary_requests() {
    let app = RawApp::answering(ok("fine")).await;
    let front = front(app.address).await;
    let mut client = Client::connect(front.address).await;
    client
        .send(
            "GET /1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\
             Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n",
        )
        .await;
    for _ in 0..2 {
        assert_eq!(client.answer().await.expect("an answer").status, 200);
    }
    let requests = app.requests();
    assert_eq!(requests.len(), 2, "{requests:?}");
    for request in requests {
        let request = request.to_ascii_lowercase();
        assert!(!request.contains("upgrade") && !request.contains("http2-settings"), "{request}");
    }
    let status = front.poolgate.status();
    let admitted = status.gate.expect("a gate").admitted_total;
    assert!(admitted <= 2, "{admitted}");
}

/// T8.
#[tokio::test]
async fn connect_and_trace_are_refused() {
    let app = RawApp::answering("HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n").await;
    let front = front(app.address).await;
    for request in [
        "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 30\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let mut client = Client::connect(front.address).await;
        client.send(request).await;
        assert_eq!(client.answer().await.expect("an answer").status, 501);
        assert!(client.is_closed().await);
    }
    assert_eq!(app.requests(), Vec::<String>::new());
}

/// T9.
#[tokio::test]
async fn an_unrequested_switch_of_protocols_is_a_failure() {
    let app = RawApp::answering(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nHTTP/1.1 200 OK\r\n\
         Content-Length: 4\r\n\r\nevil",
    )
    .await;
    let front = front(app.address).await;
    for _ in 0..2 {
        let answer = get(front.address, "/").await;
        assert_eq!(answer.status, 502, "{answer:?}");
        assert_eq!(answer.field("poolgate-outcome"), Some("upstream_unreachable"));
    }
    assert_eq!(app.connections(), 2, "none is used again");
}

/// T10.
#[tokio::test]
async fn a_body_that_the_gate_does_not_want_is_never_read_as_a_request() {
    let app = RawApp::answering(ok("fine")).await;
    let front = front_with(app.address, |settings| {
        settings.gate.max_concurrent_requests = 1;
        (settings.gate.max_queue, settings.gate.timeout) = (0, std::time::Duration::ZERO);
    })
    .await;
    let (_request, _held) =
        front.poolgate.gate().admit(axum::extract::Request::new(axum::body::Body::empty())).await.expect("let in");
    let body = "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n".repeat(32 << 10);
    let mut client = Client::connect(front.address).await;
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len())).await;
    let _ = tokio::io::AsyncWriteExt::write_all(&mut client.stream, body.as_bytes()).await;
    let answer = client.answer().await.expect("an answer");
    assert_eq!((answer.status, answer.field("poolgate-outcome")), (503, Some("rejected")), "{answer:?}");
    let rest = client.rest().await;
    assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    assert_eq!(app.requests(), Vec::<String>::new());
}

/// T11.
#[tokio::test]
async fn who_asks_whether_to_send_is_told_once() {
    let app = RawApp::answering(ok("fine")).await;
    let front = front_with(app.address, |settings| {
        settings.gate.max_concurrent_requests = 1;
        (settings.gate.max_queue, settings.gate.timeout) = (0, std::time::Duration::ZERO);
    })
    .await;
    const HEAD: &str = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let mut client = Client::connect(front.address).await;
    client.send(HEAD).await;
    assert_eq!(client.answer().await.expect("an answer").status, 100);
    client.send("hello").await;
    assert_eq!(client.answer().await.expect("an answer").status, 200);
    let [request] = &app.requests()[..] else { panic!("{:?}", app.requests()) };
    assert!(request.ends_with("hello") && !request.to_ascii_lowercase().contains("expect"), "{request}");
    let full = axum::extract::Request::new(axum::body::Body::empty());
    let (_request, _held) = front.poolgate.gate().admit(full).await.expect("let in");
    let mut client = Client::connect(front.address).await;
    client.send(HEAD).await;
    assert_eq!(client.answer().await.expect("an answer").status, 503, "and no 100 before");
}

/// T12, T15.
#[tokio::test]
async fn a_head_that_two_servers_could_understand_differently_is_refused() {
    let app = RawApp::answering(ok("fine")).await;
    let front = front(app.address).await;
    for head in [
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Forwarded-For, Authorization\r\nAuthorization: b",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection:\r\nConnection: Cookie\r\nCookie: b",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b",
        "GET / HTTP/1.1\r\nHost: user@a",
        "GET / HTTP/1.1\r\nX: y",
        "GET http://b/ HTTP/1.1\r\nHost: a",
        "GET http://user@a/ HTTP/1.1\r\nHost: a",
        "GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 6.6.6.6",
    ] {
        let mut client = Client::connect(front.address).await;
        client.send(format!("{head}\r\n\r\n")).await;
        let answer = client.answer().await.expect("an answer");
        assert_eq!(answer.status, 400, "{head}: {answer:?}");
        assert!(client.is_closed().await, "{head}");
    }
    assert_eq!(app.requests(), Vec::<String>::new());
    let answer = ask(front.address, "GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(answer.status, 200);
    assert!(app.requests()[0].starts_with("GET /b?c HTTP/1.1\r\n"), "{:?}", app.requests());
}

/// T16, T17.
#[tokio::test]
async fn the_target_reaches_the_app_byte_for_byte() {
    let app = RawApp::answering(ok("fine")).await;
    let front = front(app.address).await;
    let targets = [
        "//169.254.169.254/latest",
        "/..;/a",
        "/a/../b",
        "/%2e%2e/%2F",
        "/a//b",
        "/https://evil.example/",
        "/?a=1;b=2&%zz&c=%00",
        "/?",
        "/a?b?c",
    ];
    for target in targets {
        let answer = get(front.address, target).await;
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
    }
    let seen: Vec<_> =
        app.requests().iter().map(|request| request.split(' ').nth(1).expect("a target").to_owned()).collect();
    assert_eq!(seen, targets);
    let options = ask(front.address, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(options.status, 200, "{options:?}");
    assert!(app.requests().last().expect("one").starts_with("OPTIONS * HTTP/1.1\r\n"), "{:?}", app.requests().last());
}

/// T26.
#[tokio::test]
async fn trailers_pass_for_those_who_take_them() {
    let app = RawApp::answering(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\nHTTP/1.1 200 OK\r\n\
         Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-Sum: 2\r\n\r\n",
    )
    .await;
    let front = front(app.address).await;
    let answer = ask(front.address, "GET / HTTP/1.1\r\nHost: a\r\nConnection: TE\r\nTE: trailers\r\n\r\n").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "abc"));
    assert_eq!(answer.trailers.to_ascii_lowercase(), "x-sum: 1\r\nx-sum: 2\r\n", "{answer:?}");
    assert!(app.requests()[0].to_ascii_lowercase().contains("te: trailers"), "{:?}", app.requests());
    let answer = get(front.address, "/").await;
    assert_eq!((answer.status, answer.text().as_str(), answer.trailers.as_str()), (200, "abc", ""));
}

/// A body of a GET reaches the app, with the length or the chunks that it came with.
#[tokio::test]
async fn bodies_have_one_framing_for_every_method() {
    let app = RawApp::answering(ok("fine")).await;
    let front = front(app.address).await;
    for (request, expected) in [
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "content-length: 3"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "transfer-encoding: chunked",
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "content-length: 0"),
    ] {
        assert_eq!(ask(front.address, request).await.status, 200);
        let seen = app.requests().pop().expect("a request").to_ascii_lowercase();
        assert!(seen.contains(expected), "{seen}");
        assert_eq!(seen.contains("abc"), request.contains("abc"), "{seen}");
    }
}
