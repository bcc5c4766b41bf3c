//! The program while it serves: probes, connections, what the database sees of it.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::process::{Data, PATIENCE, Running, failure, poolgate};

#[test]
fn the_health_check_queries_the_running_server() {
    let data = Data::new();
    let running = Running::start(&["--port", "0", "--database-url", &data.url()]);
    let begun = Instant::now();
    while !poolgate(&["healthcheck", "--bind", &running.address]).output().expect("started").status.success() {
        assert!(begun.elapsed() < Duration::from_secs(10), "not ready");
        std::thread::sleep(Duration::from_millis(50));
    }
    let nowhere = failure(&mut poolgate(&["healthcheck", "--bind", "127.0.0.1:1"]));
    assert!(nowhere.contains("127.0.0.1:1"), "{nowhere}");
}

#[test]
fn postgres_knows_which_process_connects() {
    let database = poolgate_test_postgres::Postgres::start().expect("PostgreSQL");
    let url = database.url("postgres");
    let _running = Running::spawn(
        poolgate(&["--port", "0", "--database-url", &url])
            .env("POOLGATE_DATABASE__APPLICATION_NAME", "shop")
            .stderr(Stdio::null()),
    );
    let names = "SELECT DISTINCT application_name FROM pg_stat_activity WHERE application_name LIKE 'shop:%'";
    let begun = Instant::now();
    let name = loop {
        match database.sql("postgres", names).expect("answered") {
            name if name.is_empty() => assert!(begun.elapsed() < Duration::from_secs(10), "it did not connect"),
            name => break name,
        }
    };
    let instance = name.strip_prefix("shop:").expect("its prefix");
    assert!(instance.len() == 8 && instance.chars().all(|c| c.is_ascii_hexdigit()), "{name}");
}

#[test]
fn connections_may_idle_longer_than_the_time_limit_of_a_head() {
    let data = Data::new();
    let running = Running::spawn(
        poolgate(&["--port", "0", "--database-url", &data.url()])
            .env("POOLGATE_SERVER__HEADER_TIMEOUT", "1s")
            .stderr(Stdio::null()),
    );
    let mut kept = running.open("/livez");
    let mut silent = TcpStream::connect(&running.address).expect("it listens");
    silent.set_read_timeout(Some(PATIENCE)).expect("set");
    // It ends with the time limit for a head.
    assert_eq!(silent.read(&mut [0]).expect("closed"), 0);
    std::thread::sleep(Duration::from_millis(500));
    write!(kept, "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answers = String::new();
    kept.read_to_string(&mut answers).expect("answered");
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
}

#[test]
fn a_probe_needs_no_host_and_every_loopback_address_is_accepted() {
    let data = Data::new();
    let running = Running::start(&["--bind", "127.0.0.2:0", "--database-url", &data.url()]);
    let mut stream = TcpStream::connect(&running.address).expect("it listens");
    write!(stream, "GET /livez HTTP/1.0\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    assert!(answer.starts_with("HTTP/1.0 200 OK") || answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    running.await_ready();
    assert_eq!(running.status("/api/v1/health/ping"), Some(200));
    let healthy = poolgate(&["healthcheck", "--bind", &running.address]).output().expect("started");
    assert!(healthy.status.success(), "{healthy:?}");
}

/// A failed accept is retried ten times a second, so the log must not repeat each.
#[test]
fn used_up_descriptors_are_logged_once_and_it_recovers() {
    let data = Data::new();
    let log = data.path().join("log");
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_poolgate")]);
    limited.args(["--port", "0", "--database-url", &data.url()]).env_remove("DATABASE_URL").env("RUST_LOG", "info");
    let running = Running::spawn(limited.stderr(std::fs::File::create(&log).expect("a file")));
    running.await_ready();
    let warnings = || std::fs::read_to_string(&log).expect("the log").matches("Cannot accept a connection").count();
    let idle: Vec<_> = (0..100).map(|_| TcpStream::connect(&running.address).expect("the system accepts it")).collect();
    let begun = Instant::now();
    while warnings() == 0 {
        assert!(begun.elapsed() < PATIENCE, "not logged");
        std::thread::sleep(Duration::from_millis(50));
    }
    // Long enough for some twenty failed accepts.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(warnings(), 1, "{:?}", std::fs::read_to_string(&log));
    drop(idle);
    running.await_ready();
}
