//! HAProxy, watched on its runtime API: the real program in front of a small app.

use std::{net::SocketAddr, path::Path, time::Duration};

use axum::{Router, routing::get};
use poolgate_server::{HaProxy, settings::WatchTarget};
use poolgate_test_harness::{
    eventually,
    haproxy::{HaProxyProcess, free_port},
};
use poolgate_types::{AlertKind, CircuitState};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

use crate::harness::watch;

/// HAProxy with one backend `shop`: one server, five requests at a time, a queue of 300 ms.
struct Running {
    haproxy: HaProxyProcess,
    port: u16,
    admin_port: u16,
}

impl Running {
    fn start(app: SocketAddr) -> Self {
        let (port, admin_port) = (free_port(), free_port());
        let haproxy = HaProxyProcess::start(&format!(
            "global\n  maxconn 200\n  stats socket ipv4@127.0.0.1:{admin_port} level operator\n\
             defaults\n  mode http\n  timeout connect 1s\n  timeout client 5s\n  timeout server 5s\n  \
             timeout queue 300ms\n\
             frontend web\n  bind 127.0.0.1:{port}\n  default_backend shop\n\
             backend shop\n  server app1 {app} maxconn 5 check inter 200ms fall 2 rise 1\n",
        ));
        Self { haproxy, port, admin_port }
    }

    fn source(&self) -> HaProxy {
        source(&format!("haproxy://{}?backend=shop", self.haproxy.socket().display()))
    }
}

fn source(url: &str) -> HaProxy {
    let url = poolgate_server::settings::WatchUrl::new(url).expect("a URL");
    match url.parse().expect("a URL") {
        WatchTarget::HaProxy(address) => HaProxy::new(address),
        other => panic!("{other:?}"),
    }
}

/// An app whose requests take 50 ms.
async fn app() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (address, serve(listener))
}

fn serve(listener: TcpListener) -> JoinHandle<()> {
    let work = || async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        "done"
    };
    tokio::spawn(async move {
        let _ = axum::serve(listener, Router::new().fallback(get(work))).await;
    })
}

/// Users that ask again as soon as they are answered.
fn users(number: usize, port: u16) -> Vec<JoinHandle<()>> {
    let user = move || async move {
        loop {
            let Ok(mut stream) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await else { continue };
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n").await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    };
    (0..number).map(|_| tokio::spawn(user())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_queue_and_limit_are_shown_and_the_clients_hear_a_rate() {
    let (address, _app) = app().await;
    let haproxy = Running::start(address);
    let poolgate = watch(haproxy.source());
    eventually("read", || poolgate.status().pool.capacity == 5).await;
    eventually("ready", || poolgate.readiness().missing().is_none()).await;
    assert!(!poolgate.config().enforced);
    // Five work, the others are queued; those beyond 300 ms are turned away.
    let users = users(60, haproxy.port);
    eventually("all at work", || poolgate.status().pool.checked_out == 5).await;
    eventually("queued", || poolgate.status().pool.waiting > Some(10)).await;
    eventually("a rate", || poolgate.config().enforced && poolgate.config().fair_rate_per_second.is_some()).await;
    eventually("counted", || poolgate.status().performance.requests > Some(100)).await;
    assert_eq!(poolgate.status().circuit_breaker, CircuitState::Closed);
    users.iter().for_each(JoinHandle::abort);
    eventually("no more", || !poolgate.config().enforced && poolgate.status().pool.checked_out == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_are_all_down_open_the_breaker_until_one_is_back() {
    let (address, app) = app().await;
    let haproxy = Running::start(address);
    let poolgate = watch(source(&format!("haproxy://127.0.0.1:{}?backend=shop", haproxy.admin_port)));
    eventually("ready", || poolgate.readiness().missing().is_none()).await;
    app.abort();
    eventually("open", || poolgate.config().circuit_breaker_open).await;
    let silent = poolgate.status().alerts.into_iter().find(|alert| alert.kind == AlertKind::DatabaseSilent);
    assert!(silent.is_some_and(|alert| alert.message.contains("all servers of the backend `shop` are down")));
    let listener = TcpListener::bind(address).await.expect("the same port");
    let _app = serve(listener);
    eventually("closed", || poolgate.status().circuit_breaker == CircuitState::Closed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_named_and_limits_no_client() {
    let (address, _app) = app().await;
    let haproxy = Running::start(address);
    let poolgate = watch(source(&format!("haproxy://{}?backend=shoop", haproxy.haproxy.socket().display())));
    let alert = || poolgate.status().alerts.into_iter().find(|alert| alert.kind == AlertKind::PartialView);
    eventually("an alert", || alert().is_some()).await;
    assert!(alert().is_some_and(|alert| alert.message.contains("`shoop`")), "{:?}", alert());
    assert!(!poolgate.config().enforced && !poolgate.config().circuit_breaker_open);
    let nowhere = Path::new("/nowhere/admin.sock").display();
    let trouble = crate::harness::trouble(&source(&format!("haproxy://{nowhere}?backend=shop"))).await;
    assert!(trouble.contains("stats socket"), "{trouble}");
}
