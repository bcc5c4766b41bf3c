//! `poolgate serve --upstream`, as operators meet it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use crate::process::{Running, failure, get, poolgate};

/// An app that answers every request in the same way.
pub(crate) fn app() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut request = [0; 4096];
                while stream.read(&mut request).is_ok_and(|read| read > 0) {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nthe app");
                }
            });
        }
    });
    address
}

#[test]
fn the_app_is_public_and_the_operations_are_apart() {
    let app = app();
    let mut running = Running::spawn(
        poolgate(&["serve", "--port", "0", "--upstream", &format!("http://{app}")])
            .env("POOLGATE_SERVER__ADMIN_BIND", "127.0.0.1:0")
            .stderr(Stdio::piped()),
    );
    let log = BufReader::new(running.child.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let admin = log.filter_map(|line| Some(line.split_once("for operators: http://")?.1.to_owned())).next();
    let admin = admin.expect("the log names it");
    let admin = admin.split(' ').next().expect("an address");
    let get_admin = |path| get(admin, path).expect("a response");
    for path in ["/", "/readyz", "/metrics"] {
        let answer = running.get(path);
        assert!(answer.ends_with("the app") && answer.contains("poolgate-config: "), "{path}: {answer}");
    }
    assert!(running.get("/api/v1/health/ping").contains("\"service\":\"poolgate\""));
    let begun = Instant::now();
    // Ready as soon as the monitor has seen an answer of the app.
    while !get_admin("/readyz").starts_with("HTTP/1.1 200 ") {
        assert!(begun.elapsed() < Duration::from_secs(10), "{}", get_admin("/readyz"));
        thread::sleep(Duration::from_millis(20));
    }
    while !get_admin("/metrics").contains("poolgate_requests_total{outcome=\"admitted\"} 3") {
        assert!(begun.elapsed() < Duration::from_secs(10), "{}", get_admin("/metrics"));
        thread::sleep(Duration::from_millis(20));
    }
    let metrics = get_admin("/metrics");
    for line in [
        "poolgate_gateway_requests_total{outcome=\"app\"} 3",
        "poolgate_gateway_requests_total{outcome=\"upstream_unreachable\"} 0",
        "poolgate_gateway_streams 0",
        "poolgate_gateway_lingering_permits 0",
        "poolgate_gateway_buffered_bytes 0",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[test]
fn a_gateway_before_itself_is_refused() {
    let message = failure(&mut poolgate(&["serve", "--port", "8000", "--upstream", "http://localhost:8000"]));
    assert!(message.contains("upstream.url: is the address of this server"), "{message}");
}
