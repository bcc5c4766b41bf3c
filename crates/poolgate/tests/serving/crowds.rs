//! No address takes connections or streams from others.

use std::net::SocketAddr;

use poolgate::serve;
use poolgate_server::Settings;
use poolgate_test_harness::{PATIENCE, Server, eventually, server};
use poolgate_types::routes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    time,
};

async fn start(change: impl FnOnce(&mut Settings)) -> (Server, SocketAddr) {
    let server = server(change).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (app, poolgate) = (server.app.clone(), server.poolgate.clone());
    tokio::spawn(async move { serve(listener, app, &poolgate.settings().server, poolgate.closing()).await });
    (server, address)
}

/// Connects from another loopback address and sends a request.
async fn send(from: u8, address: SocketAddr, text: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from(([127, 0, 0, from], 0))).expect("an address of this machine");
    let mut stream = socket.connect(address).await.expect("a connection");
    // The server may close it at once.
    let _ = stream.write_all(text.as_bytes()).await;
    stream
}

/// The status of the answer; 0 if the connection was closed without one.
async fn status(mut stream: TcpStream) -> u16 {
    let mut begin = [0; 12];
    match time::timeout(PATIENCE, stream.read_exact(&mut begin)).await.expect("in time") {
        Ok(_) => String::from_utf8_lossy(&begin)[9..].parse().expect("a status"),
        Err(_closed) => 0,
    }
}

#[tokio::test]
async fn one_address_leaves_connections_for_the_probes() {
    for attacker in [2, 1] {
        let (server, address) = start(|settings| {
            settings.server.max_connections = 40;
            settings.events.max_streams = 32;
        })
        .await;
        let stream = format!("GET {} HTTP/1.1\r\nhost: localhost\r\n\r\n", routes::EVENTS);
        let mut open = Vec::new();
        for _ in 0..32 {
            open.push(send(attacker, address, &stream).await);
        }
        eventually("as many streams as one address may have", || server.poolgate.status().clients.live == 20).await;
        for round in 0..10 {
            // Endless heads, in place of closed ones.
            for _ in 0..8 {
                open.push(send(attacker, address, "GET / HTTP/1.1\r\nhost").await);
            }
            let probe = format!("GET {} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", routes::LIVEZ);
            assert_eq!(status(send(1, address, &probe).await).await, 200, "round {round}, 127.0.0.{attacker}");
        }
        assert_eq!(server.poolgate.status().clients.live, 20, "streams are not closed for newcomers");
    }
}

#[tokio::test]
async fn one_address_leaves_streams_for_others() {
    let (_server, address) = start(|settings| settings.events.max_streams_per_address = 3).await;
    let stream = format!("GET {} HTTP/1.1\r\nhost: localhost\r\n\r\n", routes::EVENTS);
    let same_client = format!("GET {}?client=me HTTP/1.1\r\nhost: localhost\r\n\r\n", routes::EVENTS);
    let mut open = vec![send(2, address, &stream).await, send(2, address, &same_client).await];
    open.push(send(2, address, &same_client).await);
    for stream in &mut open {
        assert!(stream.read(&mut [0; 100]).await.expect("readable") > 0);
    }
    let mut refused = send(2, address, &stream).await;
    let mut text = vec![0; 2000];
    let length = refused.read(&mut text).await.expect("readable");
    let text = String::from_utf8_lossy(&text[..length]).into_owned();
    assert!(text.contains(" 503 ") && text.contains("retry-after: "), "{text}");
    assert!(text.contains("events.max_streams_per_address"), "{text}");
    assert_eq!(status(send(3, address, &stream).await).await, 200, "another address");
}
