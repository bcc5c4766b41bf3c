//! What the log says.

use std::{
    io::Read,
    net::TcpStream,
    time::{Duration, Instant},
};

use poolgate_test_postgres::Postgres;

use crate::process::{Data, PATIENCE, Running, poolgate};

/// A database `shop` of the role `app`, which has to give a password.
async fn shop() -> Postgres {
    let start = || {
        let postgres = Postgres::start().expect("PostgreSQL");
        let sql = |sql: &str| postgres.sql("postgres", sql).expect("done");
        sql("CREATE ROLE app LOGIN PASSWORD 'hunter2secret'");
        sql("CREATE DATABASE shop OWNER app");
        let file = sql("SHOW hba_file");
        let rules = "VALUES ('host all app 127.0.0.1/32 scram-sha-256'), ('host all all 127.0.0.1/32 trust')";
        sql(&format!("COPY ({rules}) TO '{file}'"));
        sql("SELECT pg_reload_conf()");
        postgres
    };
    tokio::task::spawn_blocking(start).await.expect("joined")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_says_once_why_the_database_cannot_be_used() {
    let postgres = shop().await;
    let data = Data::new();
    let with_password = postgres.url("shop").replace("postgres@", "app:hunter2wrong@");
    let missing = format!("sqlite://{}?mode=rw", data.path().join("no/such/folder.db").display());
    for (url, cause) in [(with_password, "password authentication failed for user"), (missing, "unable to open")] {
        let log = data.path().join("log");
        let log_file = std::fs::File::create(&log).expect("a file");
        let _running = Running::spawn(poolgate(&["--port", "0", "--database-url", &url]).stderr(log_file));
        let begun = Instant::now();
        let text = loop {
            assert!(begun.elapsed() < PATIENCE, "{:?}", std::fs::read_to_string(&log));
            let text = std::fs::read_to_string(&log).expect("the log");
            // Open, half-open, open, half-open, open.
            if text.matches("circuit breaker changed").count() >= 5 {
                break text;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let told: Vec<_> = text.lines().filter(|line| line.contains(cause)).collect();
        assert_eq!(told.len(), 1, "{text}");
        assert!(told[0].contains("\"level\":\"ERROR\""), "{}", told[0]);
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn the_log_reports_a_full_pool_in_json() {
    let data = Data::new();
    let log = data.path().join("log");
    let url = format!("sqlite://{}", data.path().join("demo.db").display());
    let running = Running::spawn(
        poolgate(&["--demo", "--port", "0", "--database-url", &url])
            .envs([("POOLGATE_POOL__SIZE", "2"), ("POOLGATE_POOL__MAX_OVERFLOW", "0")])
            .stderr(std::fs::File::create(&log).expect("a file")),
    );
    let begun = Instant::now();
    let healthy = || poolgate(&["healthcheck", "--bind", &running.address]).output().expect("started").status.success();
    while !healthy() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the demo's data takes long");
        std::thread::sleep(Duration::from_millis(100));
    }
    let held: Vec<TcpStream> = (0..2).map(|_| running.open("/api/v1/lab/hold?hold_ms=9000")).collect();
    for mut stream in held {
        let mut head = [0; 15];
        stream.read_exact(&mut head).expect("an answer");
        assert_eq!(&head, b"HTTP/1.1 200 OK");
    }
    let log = std::fs::read_to_string(log).expect("the log");
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"))).collect();
    let find = |begin: &str| {
        let message = |line: &&serde_json::Value| line["message"].as_str().is_some_and(|text| text.starts_with(begin));
        lines.iter().find(message).unwrap_or_else(|| panic!("no line begins `{begin}`:\n{log}"))
    };
    let started = find("Poolgate started");
    assert_eq!((started["capacity"].as_u64(), started["backend"].as_str()), (Some(2), Some("sqlite")));
    assert_eq!(find("Connection pool usage high: 9")["level"], "ERROR");
    let health = find("Database health changed");
    assert!(health["from"].is_string() && health["to"].is_string() && health["waiting"].is_u64(), "{health}");
    assert_eq!(find("Connection pool cleanup")["trigger"], "automatic");
}
