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
        let mut child = poolgate(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("started");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("Poolgate listening on http://").expect("the ready line").to_owned();
        Self { child, address }
    }

    fn get(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
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
    let printed = poolgate(&["--print-config", "--profile", "before", "--database-url", "postgres://app:hunter2@db/shop"])
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
