//! A private PostgreSQL server for tests: started from the binaries on this machine, on a free port of 127.0.0.1, with
//! its data in a temporary folder. Server and folder are removed when it is dropped or the test process ends, even if
//! it is killed. It downloads nothing and touches no other server.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! let postgres = poolgate_test_postgres::Postgres::start()?;
//! let url = postgres.create_database("shop")?;
//! assert_eq!(postgres.sql("shop", "SELECT 1 + 1")?, "2");
//! # Ok(())
//! # }
//! ```
//!
//! A start takes one to two seconds, so the tests of one file may share a server with one database each:
//!
//! ```no_run
//! use poolgate_test_postgres::Postgres;
//! use std::sync::LazyLock;
//!
//! static POSTGRES: LazyLock<Postgres> = LazyLock::new(|| Postgres::start().expect("PostgreSQL"));
//! ```
//!
//! A [`PgBouncer`] can stand in front of it, a [`Proxy`] can fall silent, and a [`NatsServer`] can stand beside it.

mod account;
mod binaries;
mod freeze;
mod nats;
mod pgbouncer;
mod proxy;

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::account::Account;

pub use crate::freeze::Frozen;
pub use crate::nats::NatsServer;
pub use crate::pgbouncer::PgBouncer;
pub use crate::proxy::Proxy;

/// Time limit for the server to answer.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Default for the connections of a server, PostgreSQL's own default.
const MAX_CONNECTIONS: u32 = 100;

/// A running server, or a stopped one that can be started again.
#[derive(Debug)]
pub struct Postgres {
    binaries: PathBuf,
    account: Account,
    folder: PathBuf,
    port: u16,
    max_connections: u32,
    server: Option<Child>,
    /// A process that stops the server and removes the folder when its input ends, at the latest with this process.
    undertaker: Child,
}

impl Postgres {
    /// Starts a server.
    ///
    /// # Errors
    /// No PostgreSQL binaries are found, or the server does not start; the error contains its log.
    pub fn start() -> Result<Self> {
        Self::start_with_max_connections(MAX_CONNECTIONS)
    }

    /// Starts a server with this `max_connections`. PostgreSQL reserves three of them for superusers; every connection
    /// of [`url`](Self::url) is a superuser's.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_with_max_connections(max_connections: u32) -> Result<Self> {
        Self::start_with_data(max_connections, init)
    }

    /// Starts a standby that follows this server until it is [promoted](Self::promote).
    ///
    /// # Errors
    /// This server is not running, or the standby does not start.
    pub fn start_standby(&self) -> Result<Self> {
        Self::start_with_data(self.max_connections, |binaries, account, folder| {
            let output = command(binaries, account, folder, "pg_basebackup")
                .args(["--pgdata=data", "--write-recovery-conf", "--checkpoint=fast", "--no-sync"])
                .args(["--host=127.0.0.1", "--username=postgres"])
                .arg(format!("--port={}", self.port))
                .stderr(Stdio::piped())
                .output()
                .context("cannot run pg_basebackup")?;
            let error = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "pg_basebackup: {}", error.trim());
            Ok(())
        })
    }

    fn start_with_data(max_connections: u32, fill: impl Fn(&Path, &Account, &Path) -> Result<()>) -> Result<Self> {
        let binaries = binaries::find()?;
        let account = Account::for_server()?;
        let temporary = tempfile::Builder::new().prefix("poolgate-postgres-").tempdir()?;
        account.give(temporary.path())?;
        let folder = temporary.path().to_owned();
        fill(&binaries, &account, &folder)?;
        let undertaker = undertaker(&binaries, &account, &folder)?;
        // From here on the undertaker removes the folder.
        let _: PathBuf = temporary.keep();
        let mut postgres = Self { binaries, account, folder, port: 0, max_connections, server: None, undertaker };
        // Another process may take the port before this one uses it.
        let mut attempt = 1;
        loop {
            postgres.port = free_port()?;
            match postgres.launch() {
                Ok(()) => return Ok(postgres),
                Err(error) if attempt == 3 => return Err(error),
                Err(_) => attempt += 1,
            }
        }
    }

    /// URL of a database on this server; `postgres` always exists.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The server's port on 127.0.0.1; it stays the same after a restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Creates a database and returns its URL. The name may contain lower-case letters, digits and `_`.
    ///
    /// # Errors
    /// The name is invalid or taken, or the server is not running.
    pub fn create_database(&self, name: &str) -> Result<String> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        ensure!(
            !name.is_empty() && name.chars().all(plain),
            "the database name {name:?} may contain only lower-case letters, digits and `_`"
        );
        self.sql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(self.url(name))
    }

    /// Runs statements with `psql` and returns the output: one line per row, columns separated by `|`.
    ///
    /// # Errors
    /// The error output of `psql`.
    pub fn sql(&self, database: &str, statements: &str) -> Result<String> {
        psql(&self.binaries, &self.url(database), statements)
    }

    /// The same for any URL.
    ///
    /// # Errors
    /// The error output of `psql`.
    pub fn sql_at(&self, url: &str, statements: &str) -> Result<String> {
        psql(&self.binaries, url, statements)
    }

    /// Shuts the server down; its clients are told.
    ///
    /// # Errors
    /// The server is not running, or does not end in time.
    pub fn stop(&mut self) -> Result<()> {
        let mut server = self.server.take().context("the server is not running")?;
        let status = self
            .command("pg_ctl")
            .args(["stop", "--silent", "--wait", "--timeout=20", "--mode=fast"])
            .arg("--pgdata")
            .arg(self.data())
            .status()
            .context("cannot run pg_ctl")?;
        ensure!(status.success(), "pg_ctl stop: {status}\n{}", self.log());
        server.wait()?;
        Ok(())
    }

    /// Promotes a standby to a server that takes writes.
    ///
    /// # Errors
    /// The server is not a standby, or the promotion takes too long.
    pub fn promote(&self) -> Result<()> {
        let promoted = self.sql("postgres", "SELECT pg_promote(true, 20)")?;
        ensure!(promoted == "t", "the standby was not promoted in time\n{}", self.log());
        Ok(())
    }

    /// Kills the server's main process (SIGKILL): its clients' connections break.
    ///
    /// # Errors
    /// The server is not running.
    pub fn kill(&mut self) -> Result<()> {
        let mut server = self.server.take().context("the server is not running")?;
        server.kill()?;
        server.wait()?;
        Ok(())
    }

    /// Freezes all processes of the server (SIGSTOP) until the returned value is dropped: its clients see a server that
    /// does not answer.
    ///
    /// # Errors
    /// The server is not running.
    pub fn freeze(&self) -> Result<Frozen> {
        Frozen::new(self.server.as_ref().context("the server is not running")?.id())
    }

    /// Starts the stopped or killed server again, with the same data and port.
    ///
    /// # Errors
    /// The server is running already, or does not start.
    pub fn start_again(&mut self) -> Result<()> {
        ensure!(self.server.is_none(), "the server is running already");
        // The children of a killed server may take a moment to end; until then a new one refuses the data folder.
        let started = Instant::now();
        loop {
            match self.launch() {
                Ok(()) => return Ok(()),
                Err(error) if started.elapsed() > START_TIMEOUT => return Err(error),
                Err(_) => thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    fn launch(&mut self) -> Result<()> {
        let log = File::create(self.folder.join("log"))?;
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).arg("-p").arg(self.port.to_string());
        for setting in [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={}", self.folder.display()),
            format!("max_connections={}", self.max_connections),
            // Tests need speed, not durability.
            "fsync=off".to_owned(),
            "synchronous_commit=off".to_owned(),
            "full_page_writes=off".to_owned(),
            "shared_buffers=16MB".to_owned(),
        ] {
            command.arg("-c").arg(setting);
        }
        command.stdout(log.try_clone()?).stderr(log);
        let mut server = command.spawn().context("cannot run postgres")?;
        let started = Instant::now();
        loop {
            if let Some(status) = server.try_wait()? {
                bail!("PostgreSQL ended at once ({status}):\n{}", self.log());
            }
            if self.answers()? {
                self.server = Some(server);
                return Ok(());
            }
            if started.elapsed() > START_TIMEOUT {
                server.kill()?;
                server.wait()?;
                bail!("PostgreSQL does not answer after {START_TIMEOUT:?}:\n{}", self.log());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn answers(&self) -> Result<bool> {
        let status = self
            .command("pg_isready")
            .args(["--quiet", "--timeout=2", "--host=127.0.0.1", "--username=postgres"])
            .arg(format!("--port={}", self.port))
            .status()
            .context("cannot run pg_isready")?;
        Ok(status.success())
    }

    fn command(&self, program: &str) -> Command {
        command(&self.binaries, &self.account, &self.folder, program)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The server's log since the last start.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The end of its input is the signal to the undertaker.
        drop(self.undertaker.stdin.take());
        let _ = self.undertaker.wait();
        if let Some(mut server) = self.server.take() {
            // It has ended; kill() only makes sure that wait() returns.
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// Runs statements at a URL and returns the output.
fn psql(binaries: &Path, url: &str, statements: &str) -> Result<String> {
    let output = Command::new(binaries.join("psql"))
        .args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only"])
        .args(["--set", "ON_ERROR_STOP=1", "--command", statements, "--dbname", url])
        .env("PGCONNECT_TIMEOUT", "10")
        .stdin(Stdio::null())
        .output()
        .context("cannot run psql")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "psql: {}", error.trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn command(binaries: &Path, account: &Account, folder: &Path, program: &str) -> Command {
    let mut command = Command::new(binaries.join(program));
    account.apply(&mut command);
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn init(binaries: &Path, account: &Account, folder: &Path) -> Result<()> {
    let output = command(binaries, account, folder, "initdb")
        .args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8"])
        .args(["--no-locale", "--pgdata=data"])
        .stderr(Stdio::piped())
        .output()
        .context("cannot run initdb")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "initdb: {}", error.trim());
    Ok(())
}

/// In a process group of its own, so that an interrupt from the terminal does not end it too early.
fn undertaker(binaries: &Path, account: &Account, folder: &Path) -> Result<Child> {
    const SCRIPT: &str = r#"
        read -r _
        "$1/pg_ctl" stop --silent --wait --timeout=10 --mode=immediate --pgdata="$2/data"
        cd / && rm -rf "$2"
    "#;
    let mut command = Command::new("/bin/sh");
    account.apply(&mut command);
    command
        .args(["-c", SCRIPT, "undertaker"])
        .args([binaries, folder])
        .current_dir(folder)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot run /bin/sh")
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => anyhow::anyhow!("no free port on 127.0.0.1"),
        _ => error.into(),
    })?;
    Ok(listener.local_addr()?.port())
}
