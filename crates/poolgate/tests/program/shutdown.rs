//! Signals and the shutdown.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::process::{Data, PATIENCE, Running, poolgate};

#[test]
fn a_signal_ends_it_within_a_second_although_a_stream_is_open() {
    let data = Data::new();
    let mut running = Running::start(&["--port", "0", "--database-url", &data.url()]);
    let mut stream = running.open("/api/v1/health/database/events");
    let mut begin = [0; 20];
    stream.read_exact(&mut begin).expect("the stream has begun");
    let begun = Instant::now();
    running.signal("TERM");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("until the end");
    assert!(rest.contains("event: bye"), "{rest}");
    let status = running.child.wait().expect("ended");
    assert!(status.success(), "{status}");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[test]
fn a_shutdown_is_announced_before_the_listener_closes() {
    let data = Data::new();
    let mut running = Running::spawn(
        poolgate(&["--port", "0", "--database-url", &data.url()])
            .env("POOLGATE_SERVER__DRAIN_DELAY", "3s")
            .stderr(Stdio::null()),
    );
    running.await_ready();
    let mut stream = running.open("/api/v1/health/database/events");
    let begun = Instant::now();
    running.signal("TERM");
    while running.status("/readyz") != Some(503) {
        assert!(begun.elapsed() < PATIENCE, "not announced");
    }
    assert_eq!(running.status("/api/v1/health/database/throttling-config"), Some(200), "all other routes work");
    let mut events = String::new();
    stream.read_to_string(&mut events).expect("until the end");
    assert!(events.contains("event: bye") && begun.elapsed() >= Duration::from_secs(3), "{:?}", begun.elapsed());
    assert!(running.child.wait().expect("ended").success());
    assert_eq!(running.status("/readyz"), None, "the port is closed");
}

#[test]
fn a_log_that_has_lost_its_reader_stops_nothing() {
    let data = Data::new();
    let mut running = Running::spawn(poolgate(&["--port", "0", "--database-url", &data.url()]).stderr(Stdio::piped()));
    running.await_ready();
    drop(running.child.stderr.take());
    running.signal("TERM");
    let begun = Instant::now();
    let status = loop {
        match running.child.try_wait().expect("asked") {
            Some(status) => break status,
            None => assert!(begun.elapsed() < PATIENCE, "it does not end"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(status.success(), "{status}");
}

#[test]
fn a_second_signal_does_not_wait_for_the_announcement() {
    let data = Data::new();
    let mut running = Running::spawn(
        poolgate(&["--port", "0", "--database-url", &data.url()])
            .env("POOLGATE_SERVER__DRAIN_DELAY", "10m")
            .stderr(Stdio::null()),
    );
    running.await_ready();
    running.signal("TERM");
    while running.status("/readyz") != Some(503) {}
    running.signal("INT");
    assert_eq!(running.child.wait().expect("ended").code(), Some(130));
}

#[test]
fn the_drain_timeout_is_spent_once() {
    let data = Data::new();
    let mut running = Running::spawn(
        poolgate(&["--demo", "--port", "0", "--database-url", &data.url()])
            .env("POOLGATE_SERVER__DRAIN_TIMEOUT", "2s")
            .stderr(Stdio::null()),
    );
    running.await_ready();
    let _held = running.open("/api/v1/lab/hold?hold_ms=10000");
    std::thread::sleep(Duration::from_millis(300));
    let begun = Instant::now();
    running.signal("TERM");
    assert!(running.child.wait().expect("ended").success());
    assert!(begun.elapsed() < Duration::from_millis(3500), "2 s for requests and connections: {:?}", begun.elapsed());
}

/// Requests whose body never arrives, whole or in pieces, small and large, and one that is not HTTP.
#[test]
fn unsent_requests_do_not_delay_the_shutdown() {
    let data = Data::new();
    let mut running = Running::spawn(
        poolgate(&["--demo", "--port", "0", "--database-url", &data.url()])
            .env("POOLGATE_SERVER__DRAIN_TIMEOUT", "30s")
            .env("POOLGATE_SERVER__BODY_TIMEOUT", "60s")
            .env("POOLGATE_SERVER__HEADER_TIMEOUT", "60s")
            .stderr(Stdio::null()),
    );
    running.await_ready();
    let heads = ["content-length: 100", "transfer-encoding: chunked", "content-length: 100\r\nexpect: 100-continue"];
    let mut senders: Vec<_> = heads
        .iter()
        .chain(["content-length: 100", "content-length: 50\r\nconnection: close"].iter())
        .map(|fields| {
            let head = "POST /api/v1/shop/orders HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json";
            let mut stream = TcpStream::connect(&running.address).expect("it listens");
            stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
            write!(stream, "{head}\r\n{fields}\r\n\r\n").expect("sent");
            stream
        })
        .collect();
    let mut half = TcpStream::connect(&running.address).expect("it listens");
    write!(half, "POST /api/v1/shop/orders HTTP/1.1\r\nhost").expect("sent");
    std::thread::sleep(Duration::from_millis(500));
    let begun = Instant::now();
    running.signal("TERM");
    assert!(running.child.wait().expect("ended").success());
    println!("ended after {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    for sender in &mut senders {
        let mut answer = String::new();
        sender.read_to_string(&mut answer).expect("an answer");
        let answer = answer.to_lowercase();
        for part in ["503 service unavailable", "shutting_down", "connection: close", "retry-after: "] {
            assert!(answer.contains(part), "{part}: {answer}");
        }
    }
}

#[test]
fn a_closed_terminal_stops_it_and_user_signals_do_not() {
    let data = Data::new();
    let mut running = Running::start(&["--port", "0", "--database-url", &data.url()]);
    running.await_ready();
    running.signal("USR1");
    running.signal("USR2");
    assert_eq!(running.status("/livez"), Some(200));
    let mut stream = running.open("/api/v1/health/database/events");
    // One that has not begun at the signal is refused.
    let mut begin = [0; 20];
    stream.read_exact(&mut begin).expect("the stream has begun");
    running.signal("HUP");
    let mut events = String::new();
    stream.read_to_string(&mut events).expect("until the end");
    assert!(events.contains("event: bye"), "{events}");
    assert!(running.child.wait().expect("ended").success());
}

#[test]
#[cfg(target_os = "linux")]
fn nohup_is_respected() {
    let data = Data::new();
    let mut command = Command::new("nohup");
    command.arg(env!("CARGO_BIN_EXE_poolgate")).args(["--port", "0", "--database-url", &data.url()]);
    let running = Running::spawn(command.env_remove("DATABASE_URL").stderr(Stdio::null()));
    running.await_ready();
    running.signal("HUP");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(running.status("/livez"), Some(200));
}
