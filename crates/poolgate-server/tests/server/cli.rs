//! The binary as operators meet it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

fn poolgate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_poolgate"));
    command.args(arguments).env_remove("DATABASE_URL").env("RUST_LOG", "info");
    command
}

fn failure(command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.output().expect("started");
    assert!(!status.success());
    String::from_utf8(stderr).expect("text")
}

struct Running {
    child: Child,
    address: String,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        Self::spawn(poolgate(arguments).stderr(Stdio::null()))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("started");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("Poolgate listening on http://").expect("the ready line").to_owned();
        Self { child, address }
    }

    fn get(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address).expect("sent");
        stream
    }

    fn terminate(&self) {
        let killed = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill");
        assert!(killed.success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Whatever the test has left running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn bad_settings_stop_the_start_and_name_the_key() {
    let message = failure(poolgate(&["--check-config"]).env("POOLGATE_POOL__SIZE", "none"));
    assert!(message.contains("pool.size"), "{message}");
    let message = failure(poolgate(&["--check-config"]).env("POOLGATE_POOL__SIZEE", "3"));
    assert!(message.contains("pool.sizee"), "{message}");
    let message = failure(&mut poolgate(&["--check-config", "--config", "/nowhere/poolgate.toml"]));
    assert!(message.contains("/nowhere/poolgate.toml"), "{message}");
    let message = failure(&mut poolgate(&["serve", "--port", "0"]));
    assert!(message.contains("database.url"), "{message}");
    assert!(poolgate(&["--check-config"]).output().expect("started").status.success());
}

#[test]
fn the_printed_settings_hide_secrets() {
    let printed =
        poolgate(&["--print-config", "--profile", "before", "--database-url", "postgres://app:hunter2@db/shop"])
            .env("POOLGATE_SERVER__ADMIN_TOKEN", "hunter2hunter2hunter2")
            .output()
            .expect("started");
    let printed = String::from_utf8(printed.stdout).expect("text");
    assert!(!printed.contains("hunter2"), "{printed}");
    assert!(printed.contains("size = 6") && printed.contains("timeout = \"50ms\""), "{printed}");
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let message = failure(&mut poolgate(&["serve", "--port", &port, "--database-url", "sqlite::memory:"]));
    assert!(message.contains(&port) && message.contains("in use") && message.contains("--port"), "{message}");
}

#[test]
fn a_signal_ends_it_within_a_second_although_a_stream_is_open() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("cli.db").display());
    let mut running = Running::start(&["--port", "0", "--database-url", &url]);
    let mut stream = running.get("/api/v1/health/database/events");
    let mut begin = [0; 20];
    stream.read_exact(&mut begin).expect("the stream has begun");
    let begun = Instant::now();
    running.terminate();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("until the end");
    assert!(rest.contains("event: bye"), "{rest}");
    let status = running.child.wait().expect("ended");
    assert!(status.success(), "{status}");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[test]
fn the_health_check_asks_the_running_server() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("cli.db").display());
    let running = Running::start(&["--port", "0", "--database-url", &url]);
    let begun = Instant::now();
    while !poolgate(&["healthcheck", "--bind", &running.address]).output().expect("started").status.success() {
        assert!(begun.elapsed() < Duration::from_secs(10), "not ready");
        std::thread::sleep(Duration::from_millis(50));
    }
    let nobody = failure(&mut poolgate(&["healthcheck", "--bind", "127.0.0.1:1"]));
    assert!(nobody.contains("127.0.0.1:1"), "{nobody}");
}

#[test]
fn the_log_tells_of_a_full_pool_in_json() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let log = folder.path().join("log");
    let url = format!("sqlite://{}", folder.path().join("demo.db").display());
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
    let held: Vec<TcpStream> = (0..2).map(|_| running.get("/api/v1/lab/hold?hold_ms=9000")).collect();
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

#[test]
fn postgres_is_told_which_process_connects() {
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
