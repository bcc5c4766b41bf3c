//! A private nats-server with JetStream.

use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::{Frozen, free_port};

/// Time limit for the server to answer.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A running nats-server on free ports of 127.0.0.1, or a killed one that can be started again, with its files in a
/// temporary folder. Server and folder are removed when it is dropped or the test process ends, even if it is killed.
#[derive(Debug)]
pub struct NatsServer {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    monitoring: u16,
    /// `--user` and so on.
    account: Vec<String>,
    server: Option<Child>,
    /// A process that kills the server and removes the folder when its input ends, at the latest with this process.
    undertaker: Child,
}

impl NatsServer {
    /// Starts a server to which anyone may connect.
    ///
    /// # Errors
    /// nats-server is not installed or does not start; the error contains its log.
    pub fn start() -> Result<Self> {
        Self::start_with(Vec::new())
    }

    /// Starts a server that asks for this account.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_for(user: &str, password: &str) -> Result<Self> {
        Self::start_with(["--user", user, "--pass", password].map(str::to_owned).to_vec())
    }

    fn start_with(account: Vec<String>) -> Result<Self> {
        let program = find()?;
        let temporary = tempfile::Builder::new().prefix("poolgate-nats-").tempdir()?;
        let undertaker = undertaker(temporary.path())?;
        // From here on the undertaker removes the folder.
        let folder = temporary.keep();
        let mut started = Self { program, folder, port: 0, monitoring: 0, account, server: None, undertaker };
        // Another process may take a port before this one uses it.
        let mut attempt = 1;
        loop {
            (started.port, started.monitoring) = (free_port()?, free_port()?);
            match started.start_again() {
                Ok(()) => return Ok(started),
                Err(error) if attempt == 3 => return Err(error),
                Err(_) => attempt += 1,
            }
        }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its port on 127.0.0.1; it stays the same after a restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What its monitoring port answers: `/varz`.
    ///
    /// # Errors
    /// It does not answer.
    pub fn monitor(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.monitoring))?;
        stream.set_read_timeout(Some(START_TIMEOUT))?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer has a head")?;
        ensure!(head.contains(" 200 "), "{head}");
        Ok(body.to_owned())
    }

    /// Kills it (SIGKILL). What it held in memory is lost.
    ///
    /// # Errors
    /// It is not running.
    pub fn kill(&mut self) -> Result<()> {
        let mut server = self.server.take().context("nats-server is not running")?;
        server.kill()?;
        server.wait()?;
        Ok(())
    }

    /// Freezes it (SIGSTOP) until the returned value is dropped.
    ///
    /// # Errors
    /// It is not running.
    pub fn freeze(&self) -> Result<Frozen> {
        Frozen::new(self.server.as_ref().context("nats-server is not running")?.id())
    }

    /// Starts the killed server again, on the same port.
    ///
    /// # Errors
    /// It is running already, or does not start.
    pub fn start_again(&mut self) -> Result<()> {
        ensure!(self.server.is_none(), "nats-server is running already");
        let log = File::create(self.folder.join("log"))?;
        let mut server = Command::new(&self.program)
            .args(["--addr", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--http_port", &self.monitoring.to_string(), "--jetstream", "--store_dir"])
            .arg(self.folder.join("data"))
            .args(&self.account)
            // An interrupt from the terminal must not end it before its test.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot run nats-server")?;
        let input = self.undertaker.stdin.as_mut().context("the undertaker listens")?;
        writeln!(input, "{}", server.id())?;
        let begun = Instant::now();
        // It is ready when JetStream is.
        while !self.monitor("/healthz").is_ok_and(|health| health.contains("\"ok\"")) {
            if let Some(status) = server.try_wait()? {
                bail!("nats-server ended at once ({status}):\n{}", self.log());
            }
            if begun.elapsed() > START_TIMEOUT {
                server.kill()?;
                server.wait()?;
                bail!("nats-server does not answer after {START_TIMEOUT:?}:\n{}", self.log());
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.server = Some(server);
        Ok(())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
        // The end of its input is the signal to the undertaker.
        drop(self.undertaker.stdin.take());
        let _ = self.undertaker.wait();
    }
}

/// Where `cargo xtask test` has it from, in `PATH`, or in Debian's folder for administrators.
fn find() -> Result<PathBuf> {
    if let Some(program) = env::var_os("TEST_NATS_SERVER") {
        return Ok(program.into());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into()]);
    let found = folders.map(|folder| folder.join("nats-server")).find(|program| program.is_file());
    found.context(
        "nats-server is neither where TEST_NATS_SERVER says nor in PATH nor in /usr/sbin: cargo xtask test unpacks Debian's; \
         elsewhere: https://nats.io",
    )
}

/// Reads the id of each server that is started, and kills the last one, unless it has ended and something else has its id.
fn undertaker(folder: &Path) -> Result<Child> {
    const SCRIPT: &str = r#"
        while read -r line; do last=$line; done
        [ "$(cat "/proc/$last/comm" 2>/dev/null)" = nats-server ] && kill -KILL "$last"
        cd / && rm -rf "$1"
    "#;
    Command::new("/bin/sh")
        .args(["-c", SCRIPT, "undertaker"])
        .arg(folder)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot run /bin/sh")
}
