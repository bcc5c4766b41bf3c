//! The program as operators use it.

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

/// Longer than any wait in these tests.
const PATIENCE: Duration = Duration::from_secs(60);

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

    /// The status of the answer to a new connection, if there is one.
    fn status(&self, path: &str) -> Option<u16> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split(' ').nth(1)?.parse().ok()
    }

    fn terminate(&self) {
        self.signal("TERM");
    }

    fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().expect("kill");
        assert!(sent.success());
    }

    fn await_ready(&self) {
        let begun = Instant::now();
        while self.status("/readyz") != Some(200) {
            assert!(begun.elapsed() < PATIENCE, "not ready");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Processes that the test has left running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The folder for the servers' data.
struct Data(tempfile::TempDir);

impl Data {
    fn new() -> Self {
        Self(tempfile::TempDir::new().expect("a folder"))
    }

    fn url(&self) -> String {
        format!("sqlite://{}?mode=rwc", self.0.path().join("cli.db").display())
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
fn every_command_reads_the_settings_file_that_the_environment_names() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "[server]\nbind = \"127.0.0.1:1\"\n[pool]\nsize = 7\n").expect("written");
    for arguments in [&["--print-config"][..], &["serve", "--print-config"]] {
        let output = poolgate(arguments).env("POOLGATE_CONFIG_FILE", file.path()).output().expect("started");
        assert!(output.status.success(), "{arguments:?}");
        let printed = String::from_utf8(output.stdout).expect("text");
        assert!(printed.contains("size = 7"), "{arguments:?}: {printed}");
    }
    let message = failure(poolgate(&["healthcheck"]).env("POOLGATE_CONFIG_FILE", file.path()));
    assert!(message.contains("127.0.0.1:1"), "{message}");
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
fn the_health_check_queries_the_running_server() {
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
fn the_log_reports_a_full_pool_in_json() {
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
fn messages_name_key_source_and_valid_values() {
    for (arguments, variable, expected) in [
        (&["--bind", "nope"][..], None, &["server.bind", "(--bind)", "127.0.0.1:8000"][..]),
        (&["--database-url", "mysql://app@db/shop"], None, &["database.url", "--database-url", "postgres://"]),
        (&[], Some(("POOLGATE_POLICY", "strict")), &["policy", "POOLGATE_POLICY", "`adaptive`", "`fixed`"]),
        (&[], Some(("POOLGATE_POOL__SIZE", "1.5")), &["pool.size", "POOLGATE_POOL__SIZE", "whole number"]),
        (&[], Some(("POOLGATE_POOL__MAX_OVERFLOW", "true")), &["pool.max_overflow", "whole number"]),
        (&[], Some(("POOLGATE_POOL__SIZE", "99999999999")), &["pool.size", "whole number"]),
        (&[], Some(("POOLGATE_DEMO__ENABLED", "perhaps")), &["demo.enabled", "`true` or `false`"]),
        (&[], Some(("POOLGATE_SERVER__ALLOWED_HOSTS", "https://a.example")), &["server.allowed_hosts", "app.example"]),
        (&[], Some(("POOLGATE_SERVER__ADMIN_TOKEN", "                    ")), &["server.admin_token"]),
    ] {
        let message = failure(poolgate(&["--check-config"]).args(arguments).envs(variable));
        for expected in expected {
            assert!(message.contains(expected), "{expected}: {message}");
        }
    }
    let missing = failure(&mut poolgate(&["--check-config", "--config", "/nowhere/poolgate.toml"]));
    assert_eq!(missing.matches("No such file").count(), 1, "{missing}");
    let checked =
        poolgate(&["--check-config"]).env("POOLGATE_SERVER__REQUEST_TIMEOUT", "1s").output().expect("started");
    let advice = String::from_utf8(checked.stdout).expect("text");
    assert!(checked.status.success() && advice.contains("pool.timeout"), "{advice}");
    let help = poolgate(&["--help"]).output().expect("started");
    assert!(String::from_utf8(help.stdout).expect("text").starts_with("Keep a database at its peak"), "the program's");
}

#[test]
fn a_database_url_of_another_program_is_ignored_if_it_is_not_needed() {
    let others = [
        "mysql2://u:p@db/x",
        "postgis://u:p@db/x",
        "file:./dev.db",
        "mongodb+srv://u:p@db/x",
        "jdbc:postgresql://db/x",
    ];
    for url in others {
        for arguments in [
            &["--watch", "pgbouncer://stats@pooler/shop"][..],
            &["--database-url", "postgres://app@db/shop"],
            &["--demo"],
        ] {
            let output =
                poolgate(&["--check-config"]).args(arguments).env("DATABASE_URL", url).output().expect("started");
            let log = String::from_utf8(output.stderr).expect("text");
            assert!(output.status.success() && log.contains("DATABASE_URL is ignored"), "{url} {arguments:?}: {log}");
        }
        let message = failure(poolgate(&["--check-config"]).env("DATABASE_URL", url));
        assert!(message.contains("DATABASE_URL in the environment") && message.contains("postgres://"), "{message}");
    }
    for url in ["postgresql+asyncpg://u:p@db/x", "postgresql+psycopg://u:p@db/x", "POSTGRES://u:p@db/x"] {
        for arguments in [&["--watch", "pgbouncer://stats@pooler/shop"][..], &[]] {
            let mut command = poolgate(&["--check-config"]);
            let output = command.args(arguments).env("DATABASE_URL", url).output().expect("started");
            assert!(output.status.success(), "{url}: {output:?}");
        }
    }
}

#[test]
fn connections_may_idle_longer_than_the_time_limit_of_a_head() {
    let data = Data::new();
    let running = Running::spawn(
        poolgate(&["--port", "0", "--database-url", &data.url()])
            .env("POOLGATE_SERVER__HEADER_TIMEOUT", "1s")
            .stderr(Stdio::null()),
    );
    let mut kept = running.get("/livez");
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

#[test]
fn a_shutdown_is_announced_before_the_listener_closes() {
    let data = Data::new();
    let mut running = Running::spawn(
        poolgate(&["--port", "0", "--database-url", &data.url()])
            .env("POOLGATE_SERVER__DRAIN_DELAY", "3s")
            .stderr(Stdio::null()),
    );
    running.await_ready();
    let mut stream = running.get("/api/v1/health/database/events");
    let begun = Instant::now();
    running.terminate();
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
fn a_second_signal_does_not_wait_for_the_announcement() {
    let data = Data::new();
    let mut running = Running::spawn(
        poolgate(&["--port", "0", "--database-url", &data.url()])
            .env("POOLGATE_SERVER__DRAIN_DELAY", "10m")
            .stderr(Stdio::null()),
    );
    running.await_ready();
    running.terminate();
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
    let _held = running.get("/api/v1/lab/hold?hold_ms=10000");
    std::thread::sleep(Duration::from_millis(300));
    let begun = Instant::now();
    running.terminate();
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
    running.terminate();
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
    let mut stream = running.get("/api/v1/health/database/events");
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
