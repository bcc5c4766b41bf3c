//! HAProxy's agent checks: the real HAProxy asks the program for a server's `maxconn`.

use std::{process::Stdio, time::Duration};

use axum::{Router, routing::get};
use poolgate_test_harness::{
    eventually,
    haproxy::{HaProxyProcess, free_port},
    sources::{pooler, postgres},
};
use tokio::net::TcpListener;

use crate::{
    process::{Running, poolgate},
    running_gateway::{self, Gateway},
};

/// HAProxy with these servers, all checked by the agent at `agent_port`.
fn haproxy(port: u16, agent_port: u16, servers: &[&str]) -> HaProxyProcess {
    let check = format!("agent-check agent-addr 127.0.0.1 agent-port {agent_port} agent-inter 100ms");
    let servers: String = servers
        .iter()
        .enumerate()
        .map(|(index, address)| format!("  server app{index} {address} weight 10 maxconn 3 {check}\n"))
        .collect();
    HaProxyProcess::start(&format!(
        "global\n  maxconn 200\n\
         defaults\n  mode http\n  timeout connect 1s\n  timeout client 5s\n  timeout server 5s\n  timeout queue 300ms\n\
         frontend web\n  bind 127.0.0.1:{port}\n  default_backend shop\n\
         backend shop\n{servers}"
    ))
}

/// A column of the statistics of the backend's first server.
fn shown(haproxy: &HaProxyProcess, column: &str) -> String {
    let statistics = haproxy.ask("show stat shop 4 -1").expect("answered");
    let mut lines = statistics.trim_start_matches("# ").lines();
    let place = lines.next().and_then(|heads| heads.split(',').position(|head| head == column)).expect("a column");
    lines.next().and_then(|server| server.split(',').nth(place)).expect("a server").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_tells_its_permits_and_that_it_stops_but_leaves_the_operators_word_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let app = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(get(|| async { "done" }))).await });
    let agent_port = free_port();
    let bind = format!("127.0.0.1:{agent_port}");
    let environment = [
        ("POOLGATE_HAPROXY_AGENT__BIND", bind.as_str()),
        ("POOLGATE_GATE__MAX_CONCURRENT_REQUESTS", "17"),
        ("POOLGATE_SERVER__DRAIN_DELAY", "20s"),
    ];
    let gateway = Gateway::start(app, &[], &environment);
    let port = free_port();
    let haproxy = haproxy(port, agent_port, &[&gateway.public]);
    eventually("told the permits", || shown(&haproxy, "slim") == "17").await;
    let (status, _) = running_gateway::get(&format!("127.0.0.1:{port}"), "/").await.expect("an answer");
    assert_eq!(status, 200);

    haproxy.ask("set server shop/app0 state maint").expect("answered");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(shown(&haproxy, "status"), "MAINT");
    haproxy.ask("set server shop/app0 state ready").expect("answered");
    eventually("in use again", || shown(&haproxy, "weight") == "10").await;

    gateway.signal("TERM");
    eventually("drained", || shown(&haproxy, "weight") == "0").await;
    let (status, _) = running_gateway::get(&format!("127.0.0.1:{port}"), "/").await.expect("an answer");
    assert_eq!(status, 503, "HAProxy sends it nothing more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_beside_the_program_share_what_its_source_can_take() {
    let pooler = pooler(postgres().await, "postgres", &["pool_mode=transaction", "default_pool_size=9"]).await;
    let agent_port = free_port();
    let url = format!("pgbouncer://stats@127.0.0.1:{}/postgres", pooler.port());
    let running = Running::spawn(
        poolgate(&["serve", "--port", "0", "--watch", &url])
            .env("POOLGATE_HAPROXY_AGENT__BIND", format!("127.0.0.1:{agent_port}"))
            .env("POOLGATE_HAPROXY_AGENT__SERVERS", "2")
            .env("POOLGATE_SERVER__DRAIN_DELAY", "20s")
            .stderr(Stdio::null()),
    );
    let haproxy = haproxy(free_port(), agent_port, &["127.0.0.1:9", "127.0.0.1:9"]);
    eventually("told a half", || shown(&haproxy, "slim") == "4").await;
    running.signal("TERM");
    eventually("not ready", || running.status("/readyz") == Some(503)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(shown(&haproxy, "weight"), "10", "the app's servers are not its own");
}

#[test]
fn a_port_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let bind = taken.local_addr().expect("an address").to_string();
    let failure = crate::process::failure(
        poolgate(&["serve", "--port", "0", "--upstream", "http://127.0.0.1:9"])
            .env("POOLGATE_SERVER__ADMIN_BIND", "127.0.0.1:0")
            .env("POOLGATE_HAPROXY_AGENT__BIND", bind),
    );
    assert!(failure.contains("in use") && failure.contains("haproxy_agent.bind"), "{failure}");
}
