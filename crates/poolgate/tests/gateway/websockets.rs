//! WebSockets are tunnels: bytes in both directions, unread.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time,
};

use crate::{
    client::{Client, get},
    front::{eventually, front, front_with},
};

const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: shop.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                         Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

/// Switches protocols, says hello, and sends back what it gets; answers 403 at `/no`.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => return,
                    }
                }
                let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
                let answer = if head.starts_with("get /no ") {
                    "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
                } else if head.starts_with("get /chat ") {
                    for field in
                        ["connection: upgrade", "upgrade: websocket", "sec-websocket-extensions: permessage-deflate"]
                    {
                        assert!(head.contains(field), "{head}");
                    }
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello"
                } else {
                    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                };
                stream.write_all(answer.as_bytes()).await.expect("sent");
                let (mut read, mut write) = stream.into_split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
                let _ = write.write_all(b"bye").await;
            });
        }
    });
    address
}

/// T24.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_pass_both_ways_from_the_first_to_the_last() {
    let front = front(echo().await).await;
    let mut client = Client::connect(front.address).await;
    // The first bytes come with the handshake.
    client.send(format!("{HANDSHAKE}early")).await;
    let answer = client.answer().await.expect("an answer");
    assert_eq!((answer.status, answer.field("upgrade")), (101, Some("websocket")), "{answer:?}");
    assert_eq!(answer.field("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(client.exactly(10).await.as_deref(), Some(&b"helloearly"[..]));
    assert_eq!(front.in_flight(), 0, "a tunnel holds no permit");
    let piece: Vec<u8> = (0..1 << 20).map(|number: u32| number.to_le_bytes()[1]).collect();
    let (mut read, mut write) = client.stream.split();
    let sent = piece.clone();
    let (_, echoed) = tokio::join!(async { write.write_all(&sent).await.expect("sent") }, async {
        let mut echoed = vec![0; 1 << 20];
        read.read_exact(&mut echoed).await.expect("echoed");
        echoed
    });
    assert!(echoed == piece, "byte for byte");
    // Half closed: what the app has still to say arrives.
    write.shutdown().await.expect("closed");
    let mut last = String::new();
    read.read_to_string(&mut last).await.expect("read");
    assert_eq!(last, "bye");
}

#[tokio::test]
async fn an_apps_refusal_is_an_ordinary_answer() {
    let front = front(echo().await).await;
    let answer = crate::client::ask(front.address, HANDSHAKE.replace("/chat", "/no")).await;
    assert_eq!((answer.status, answer.text().as_str()), (403, "no"));
    eventually("free", || front.in_flight() == 0).await;
}

/// T25.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tunnels_count_as_connections_and_as_streams() {
    let front = front_with(echo().await, |settings| {
        settings.upstream.max_streams = 3;
        settings.server.max_connections = 8;
        settings.server.max_connections_per_address = 4;
        settings.events.max_streams = 4;
    })
    .await;
    let mut tunnels = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(front.address).await;
        client.send(HANDSHAKE).await;
        assert_eq!(client.answer().await.expect("an answer").status, 101);
        tunnels.push(client);
    }
    let mut fourth = Client::connect(front.address).await;
    fourth.send(HANDSHAKE).await;
    let refused = fourth.answer().await.expect("an answer");
    assert_eq!((refused.status, refused.field("poolgate-outcome")), (503, Some("rejected")), "{refused:?}");
    // Each newcomer from this address takes the place of one that does nothing: the tunnels are none of those.
    for _ in 0..8 {
        assert_eq!(get(front.address, "/").await.status, 200);
    }
    for client in &mut tunnels {
        client.send("still here").await;
        assert_eq!(client.exactly(15).await.as_deref(), Some(&b"hellostill here"[..]));
    }
    drop(tunnels);
    time::sleep(Duration::from_millis(200)).await;
    let mut again = Client::connect(front.address).await;
    again.send(HANDSHAKE).await;
    assert_eq!(again.answer().await.expect("an answer").status, 101, "places come back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tunnels_end_with_the_server_at_the_deadline() {
    let front = front(echo().await).await;
    let mut client = Client::connect(front.address).await;
    client.send(HANDSHAKE).await;
    assert_eq!(client.answer().await.expect("an answer").status, 101);
    let begun = time::Instant::now();
    front.gateway.drain(Duration::from_millis(300)).await;
    assert!(begun.elapsed() >= Duration::from_millis(300), "it had its time");
    assert_eq!(client.rest().await, b"hello");
}

/// The limits of requests are not those of tunnels.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tunnels_outlive_the_times_that_requests_have() {
    let front = front_with(echo().await, |settings| {
        let second = Duration::from_secs(1);
        (settings.server.header_timeout, settings.server.keep_alive_timeout) = (second, second);
        (settings.server.request_timeout, settings.upstream.response_timeout) = (second, second);
    })
    .await;
    let mut client = Client::connect(front.address).await;
    client.send(HANDSHAKE).await;
    assert_eq!(client.answer().await.expect("an answer").status, 101);
    assert_eq!(client.exactly(5).await.as_deref(), Some(&b"hello"[..]));
    for _ in 0..3 {
        client.send("x").await;
        assert_eq!(client.exactly(1).await.as_deref(), Some(&b"x"[..]));
        time::sleep(Duration::from_millis(1500)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_tunnels_end() {
    let front = front_with(echo().await, |settings| settings.upstream.idle_timeout = Duration::from_secs(1)).await;
    let mut client = Client::connect(front.address).await;
    client.send(HANDSHAKE).await;
    assert_eq!(client.answer().await.expect("an answer").status, 101);
    for _ in 0..4 {
        time::sleep(Duration::from_millis(500)).await;
        client.send("x").await;
    }
    let begun = time::Instant::now();
    assert_eq!(client.rest().await, b"helloxxxx");
    assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
}
