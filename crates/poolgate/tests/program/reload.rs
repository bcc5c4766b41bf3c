//! SIGHUP: the settings file is read again.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use tokio::net::TcpListener;

use crate::running_gateway::Gateway;

/// An app that is slow at `/slow`.
async fn app() -> std::net::SocketAddr {
    let slow = get(|| async { tokio::time::sleep(Duration::from_secs(3)).await });
    let routes = Router::new().route("/slow", slow).fallback(|| async { "the app" });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

fn start(file: &Path) -> Gateway {
    let mut command = Command::new(env!("CARGO_BIN_EXE_poolgate"));
    Gateway::spawn(command.args(["serve", "--port", "0", "--config"]).arg(file))
}

/// One request on a connection that stays open.
fn ask(stream: &mut TcpStream, path: &str) -> String {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n").expect("sent");
    let mut answer = [0; 4096];
    let read = stream.read(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < Duration::from_secs(15), "not {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_change_changes_and_a_broken_file_changes_nothing() {
    let app = app().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("poolgate.toml");
    let write = |rest: &str| fs::write(&file, format!("[upstream]\nurl = \"http://{app}\"\n{rest}")).expect("written");
    write("[gate]\nmax_concurrent_requests = 7\n");
    let gateway = start(&file);
    let permits = async || gateway.status().await["gate"]["max_concurrent_requests"].as_u64();
    let successful =
        async |value: &str| gateway.metrics().await.contains(&format!("\npoolgate_config_reload_successful {value}\n"));
    eventually("the first settings", async || permits().await == Some(7) && successful("1").await).await;
    let mut kept = TcpStream::connect(&gateway.public).expect("it listens");
    kept.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    assert!(ask(&mut kept, "/").contains("the app"));

    write("response_timeout = \"1s\"\n[gate]\nmax_concurrent_requests = 3\n[pool]\nsize = 9\n");
    gateway.signal("HUP");
    eventually("three permits", async || permits().await == Some(3)).await;
    eventually("named: what cannot change", async || gateway.has_logged(&["act only after a restart", "pool.size"]))
        .await;
    let slow = ask(&mut kept, "/slow");
    assert!(slow.contains("504 Gateway Timeout"), "upstream.response_timeout acts, on the same connection: {slow}");

    for broken in ["[gate]\nmax_concurrent_requests = 0\n", "[gate\n", "[gate]\npermits = 1\n"] {
        let mut kept = TcpStream::connect(&gateway.public).expect("it listens");
        kept.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
        write(broken);
        gateway.signal("HUP");
        eventually("a failure", async || successful("0").await).await;
        assert_eq!(permits().await, Some(3), "{broken}");
        assert!(ask(&mut kept, "/").contains("the app"), "no connection is lost");
        write("[gate]\nmax_concurrent_requests = 3\n");
        gateway.signal("HUP");
        eventually("mended", async || successful("1").await).await;
    }
    eventually("told", async || gateway.has_logged(&["Settings not reloaded", "gate.max_concurrent_requests"])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_thresholds_and_proxies_change_too() {
    let app = app().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("poolgate.toml");
    let write = |rest: &str| fs::write(&file, format!("[upstream]\nurl = \"http://{app}\"\n{rest}")).expect("written");
    write("");
    let gateway = start(&file);
    let admitted = async || gateway.status().await["gate"]["admitted_total"].as_u64();
    let mut stream = TcpStream::connect(&gateway.public).expect("it listens");
    ask(&mut stream, "/static/a.css");
    eventually("one admitted", async || admitted().await == Some(1)).await;
    write(
        "[gate]\nbypass = [\"/static/\"]\n[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\n[thresholds]\nwarning = 75.0\n",
    );
    gateway.signal("HUP");
    eventually("reloaded", async || gateway.has_logged(&["Settings reloaded"])).await;
    assert!(!gateway.has_logged(&["act only after a restart"]));
    ask(&mut stream, "/static/a.css");
    ask(&mut stream, "/other");
    eventually("the path bypasses the gate", async || admitted().await == Some(2)).await;
}
