//! The program as a process.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// Longer than any wait in these tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program with these arguments and a log.
pub(crate) fn poolgate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_poolgate"));
    command.args(arguments).env_remove("DATABASE_URL").env("RUST_LOG", "info");
    command
}

/// What the program writes to standard error when it fails.
pub(crate) fn failure(command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.output().expect("started");
    assert!(!status.success());
    String::from_utf8(stderr).expect("text")
}

/// A server that listens. It is killed when this is dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) address: String,
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(poolgate(arguments).stderr(Stdio::null()))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("started");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("Poolgate listening on http://").expect("the ready line").to_owned();
        Self { child, address }
    }

    /// Sends a request and leaves the connection open.
    pub(crate) fn open(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address).expect("sent");
        stream
    }

    /// The whole response.
    pub(crate) fn get(&self, path: &str) -> String {
        get(&self.address, path).expect("a response")
    }

    /// The status of the answer to a new connection, if there is one.
    pub(crate) fn status(&self, path: &str) -> Option<u16> {
        get(&self.address, path)?.split(' ').nth(1)?.parse().ok()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill").success());
    }

    pub(crate) fn await_ready(&self) {
        let begun = Instant::now();
        while self.status("/readyz") != Some(200) {
            assert!(begun.elapsed() < PATIENCE, "not ready");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The whole response of a server at this address, if it answers.
pub(crate) fn get(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// The folder for a server's data.
pub(crate) struct Data(tempfile::TempDir);

impl Data {
    pub(crate) fn new() -> Self {
        Self(tempfile::TempDir::new().expect("a folder"))
    }

    pub(crate) fn url(&self) -> String {
        format!("sqlite://{}?mode=rwc", self.path().join("cli.db").display())
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        self.0.path()
    }
}
