//! The server under test, as a separate process.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use http::StatusCode;
use poolgate_types::{Status, ThrottlingConfig, routes};
use tempfile::TempDir;

use crate::{Answer, Client, EventStream, binary};

/// Time limit for the start and for the end of the binary.
const PATIENCE: Duration = Duration::from_secs(20);

/// Time limit for creating the demo data on a busy machine.
const READY: Duration = Duration::from_secs(60);

const LISTENING: &str = "Poolgate listening on http://";

/// A running server; dropping it kills it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    client: Client,
    log: PathBuf,
    _folder: Option<TempDir>,
}

/// A server that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// Its output, standard output first.
    pub output: String,
}

/// How to start a server.
#[derive(Debug, Default)]
pub struct ServerBuilder {
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
    fixed_port: bool,
}

impl ServerBuilder {
    /// Demo mode, on an SQLite file in the server's folder unless another [database](Self::database) is set.
    #[must_use]
    pub fn demo(self) -> Self {
        self.argument("--demo")
    }

    /// Sets the database.
    #[must_use]
    pub fn database(self, url: &str) -> Self {
        self.argument("--database-url").argument(url)
    }

    /// Sets the port instead of a free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.fixed_port = true;
        self.argument("--port").argument(port.to_string())
    }

    /// Adds an argument.
    #[must_use]
    pub fn argument(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn arguments(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Sets the folder instead of a private one.
    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Starts the server and waits until it logs its address.
    ///
    /// # Errors
    ///
    /// No address in time; the error contains the log.
    pub fn start(self) -> Result<Server> {
        let (mut child, log, folder) = self.spawn()?;
        let lines = lines(child.stdout.take().context("standard output is not piped")?);
        let started = Instant::now();
        loop {
            let line = lines.recv_timeout(PATIENCE.saturating_sub(started.elapsed()));
            let Ok(line) = line else {
                child.kill().ok();
                bail!("the server did not log its address:\n{}", read(&log));
            };
            if let Some(address) = line.strip_prefix(LISTENING) {
                let address: SocketAddr = address.trim().parse().with_context(|| line.clone())?;
                return Ok(Server { child, client: Client::new(address), log, _folder: folder });
            }
        }
    }

    /// Starts the server and waits until it ends.
    ///
    /// # Errors
    ///
    /// It has not ended in time and is killed; the error contains the log.
    pub fn run_to_its_end(self) -> Result<Ended> {
        let (mut child, log, _folder) = self.spawn()?;
        let mut stdout = child.stdout.take().context("standard output is not piped")?;
        let reader = thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).map(|_| text)
        });
        let Some(status) = wait(&mut child, PATIENCE)? else {
            child.kill().ok();
            child.wait().ok();
            bail!("the server did not end:\n{}", read(&log));
        };
        let stdout = reader.join().ok().context("the reader panicked")??;
        Ok(Ended { status, output: stdout + &read(&log) })
    }

    fn spawn(self) -> Result<(Child, PathBuf, Option<TempDir>)> {
        let (folder, temporary) = match self.folder {
            Some(folder) => (folder, None),
            None => {
                let temporary = tempfile::Builder::new().prefix("poolgate-e2e-").tempdir()?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        let log = folder.join("poolgate.log");
        let mut command = Command::new(binary()?);
        command.args(&self.arguments);
        if !self.fixed_port {
            command.args(["--port", "0"]);
        }
        // The environment of the test run must not influence the server.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("POOLGATE_") || name == "DATABASE_URL" {
                command.env_remove(name);
            }
        }
        command
            .envs(self.environment)
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?);
        let child = command.spawn().context("cannot run the poolgate binary")?;
        Ok((child, log, temporary))
    }
}

impl Server {
    /// Configures a server to start.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.client.address()
    }

    /// Its process id.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// A client for it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        read(&self.log)
    }

    /// Waits until the server is ready: the demo data exists and the pool has been sampled.
    ///
    /// # Errors
    ///
    /// It is not ready within a minute; the error contains the log.
    pub async fn ready(&self) -> Result<()> {
        let ready =
            async |server: &Self| server.get(routes::READYZ).await.is_ok_and(|answer| answer.status == StatusCode::OK);
        ensure!(self.wait_until(READY, ready).await, "the server is not ready:\n{}", self.log());
        Ok(())
    }

    /// Checks `condition` every 50 ms; `false` if it does not hold within `limit`.
    pub async fn wait_until(&self, limit: Duration, condition: impl AsyncFn(&Self) -> bool) -> bool {
        let started = Instant::now();
        loop {
            if condition(self).await {
                return true;
            }
            if started.elapsed() > limit {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Sends a GET.
    ///
    /// # Errors
    ///
    /// No response in time.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.client.get(path).await
    }

    /// The status document, also with status 503.
    ///
    /// # Errors
    ///
    /// No response in time, or another document.
    pub async fn status(&self) -> Result<Status> {
        self.get(routes::STATUS).await?.json()
    }

    /// The config document.
    ///
    /// # Errors
    ///
    /// No response in time, or another document.
    pub async fn config(&self) -> Result<ThrottlingConfig> {
        self.get(routes::THROTTLING_CONFIG).await?.json()
    }

    /// Opens an event stream.
    ///
    /// # Errors
    ///
    /// No response in time.
    pub async fn events(&self, query: &str) -> Result<EventStream> {
        self.client.events(&format!("{}{query}", routes::EVENTS)).await
    }

    /// Sends SIGTERM and waits; returns the exit status and how long it took.
    ///
    /// # Errors
    ///
    /// It has not ended in time.
    pub fn terminate(mut self) -> Result<(ExitStatus, Duration)> {
        let started = Instant::now();
        // The shell's own `kill`: every machine with signals has a shell.
        let sent = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.child.id())]).status()?;
        ensure!(sent.success(), "kill: {sent}");
        match wait(&mut self.child, PATIENCE)? {
            Some(status) => Ok((status, started.elapsed())),
            None => bail!("the server did not end:\n{}", self.log()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
        if thread::panicking() {
            eprintln!("--- the server's log ---\n{}", self.log());
        }
    }
}

/// Reads lines in the background until the end, so that a full pipe never blocks the writer.
fn lines(source: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(source).lines().map_while(Result::ok) {
            // Lines after the address have no receiver, but must be read.
            send.send(line).ok();
        }
    });
    lines
}

fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let started = Instant::now();
    while started.elapsed() < limit {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(None)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| format!("{}: {error}", path.display()))
}
