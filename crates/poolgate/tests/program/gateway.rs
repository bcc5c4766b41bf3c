//! `poolgate serve --upstream`, as operators meet it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// An app that answers every request in the same way.
fn app() -> String {
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
    address.to_string()
}

#[test]
fn the_app_is_public_and_the_operations_are_apart() {
    let app = app();
    let mut child = Command::new(env!("CARGO_BIN_EXE_poolgate"))
        .args(["serve", "--port", "0", "--upstream", &format!("http://{app}")])
        .env_remove("DATABASE_URL")
        .env("RUST_LOG", "info")
        .env("POOLGATE_SERVER__ADMIN_BIND", "127.0.0.1:0")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let public = line.trim().strip_prefix("Poolgate listening on http://").expect("the ready line").to_owned();
    let log = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let admin = log.filter_map(|line| Some(line.split_once("for operators: http://")?.1.to_owned())).next();
    let admin = admin.expect("the log names it");
    let admin = admin.split(' ').next().expect("an address");
    for path in ["/", "/readyz", "/metrics"] {
        let answer = get(&public, path);
        assert!(answer.ends_with("the app") && answer.contains("poolgate-config: "), "{path}: {answer}");
    }
    assert!(get(&public, "/api/v1/health/ping").contains("\"service\":\"poolgate\""));
    assert!(get(admin, "/readyz").starts_with("HTTP/1.1 200 "), "the app answers");
    let begun = Instant::now();
    while !get(admin, "/metrics").contains("poolgate_requests_total{outcome=\"admitted\"} 3") {
        assert!(begun.elapsed() < Duration::from_secs(10), "{}", get(admin, "/metrics"));
        thread::sleep(Duration::from_millis(20));
    }
    child.kill().expect("ended");
    child.wait().expect("ended");
}

#[test]
fn a_gateway_before_itself_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_poolgate"))
        .args(["serve", "--port", "8000", "--upstream", "http://localhost:8000"])
        .env_remove("DATABASE_URL")
        .output()
        .expect("started");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && message.contains("upstream.url: is the address of this server"), "{message}");
}
