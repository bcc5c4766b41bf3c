//! A private PgBouncer in front of a private PostgreSQL.

use std::env;
use std::fs::{self, File};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::account::Account;
use crate::{Postgres, free_port, psql};

/// Time limit for PgBouncer to answer.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// Its users: an administrator, one that may read statistics, and one that may only use the databases.
const USERS: &str = "\"admin\" \"\"\n\"stats\" \"\"\n\"app\" \"\"\n";

/// A running PgBouncer on a free port of 127.0.0.1, with its settings in a temporary folder. Both are removed when it
/// is dropped or the test process ends.
///
/// `admin` is one of its `admin_users`, `stats` one of its `stats_users`, `app` neither; all of them connect to the
/// database as its superuser.
#[derive(Debug)]
pub struct PgBouncer {
    binaries: PathBuf,
    folder: PathBuf,
    port: u16,
    server: Child,
    /// A process that stops PgBouncer and removes the folder when its input ends, at the latest with this process.
    undertaker: Child,
}

impl PgBouncer {
    /// Starts PgBouncer in front of this database of `postgres`, with these settings in its section `[pgbouncer]`:
    /// `pool_mode=transaction`.
    ///
    /// # Errors
    /// PgBouncer is not installed or does not start; the error contains its log.
    pub fn start(postgres: &Postgres, database: &str, settings: &[&str]) -> Result<Self> {
        let program = find()?;
        let account = Account::for_server()?;
        // Another process may take the port before this one uses it.
        let mut attempt = 1;
        loop {
            match Self::launch(&program, &account, postgres, database, settings) {
                Ok(started) => return Ok(started),
                Err(error) if attempt == 3 => return Err(error),
                Err(_) => attempt += 1,
            }
        }
    }

    /// URL of a database through PgBouncer; `pgbouncer` is its console.
    #[must_use]
    pub fn url(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs a command on its console as `admin`: `PAUSE shop`.
    ///
    /// # Errors
    /// The error output of `psql`.
    pub fn console(&self, command: &str) -> Result<String> {
        psql(&self.binaries, &self.url("admin", "pgbouncer"), command)
    }

    fn launch(
        program: &Path,
        account: &Account,
        postgres: &Postgres,
        database: &str,
        settings: &[&str],
    ) -> Result<Self> {
        let temporary = tempfile::Builder::new().prefix("poolgate-pgbouncer-").tempdir()?;
        let folder = temporary.path().to_owned();
        let port = free_port()?;
        fs::write(folder.join("users"), USERS)?;
        let of_the_test: String = settings.iter().map(|setting| format!("{setting}\n")).collect();
        let settings = format!(
            "[databases]\n{database} = host=127.0.0.1 port={} user=postgres\n[pgbouncer]\nlisten_addr=127.0.0.1\n\
             listen_port={port}\nunix_socket_dir=\nauth_type=trust\nauth_file={}\nadmin_users=admin\n\
             stats_users=stats\n{of_the_test}",
            postgres.port(),
            folder.join("users").display(),
        );
        fs::write(folder.join("settings"), settings)?;
        account.give(&folder)?;
        let log = File::create(folder.join("log"))?;
        let mut command = Command::new(program);
        account.apply(&mut command);
        command.arg("-q").arg(folder.join("settings")).current_dir(&folder).stdin(Stdio::null());
        let mut server = command.stdout(log.try_clone()?).stderr(log).spawn().context("cannot run pgbouncer")?;
        let undertaker = undertaker(account, server.id(), &folder)?;
        // From here on the undertaker removes the folder.
        let _: PathBuf = temporary.keep();
        let log = || fs::read_to_string(folder.join("log")).unwrap_or_default();
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = server.try_wait()? {
                bail!("PgBouncer ended at once ({status}):\n{}", log());
            }
            if started.elapsed() > START_TIMEOUT {
                server.kill()?;
                server.wait()?;
                bail!("PgBouncer does not answer after {START_TIMEOUT:?}:\n{}", log());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(Self { binaries: postgres.binaries.clone(), folder, port, server, undertaker })
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // The end of its input is the signal to the undertaker. The process stays a zombie until wait(), so its id is
        // not reused.
        drop(self.undertaker.stdin.take());
        let _ = self.undertaker.wait();
        let _ = self.server.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// In `PATH`, or in Debian's folders for administrators.
fn find() -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into()]);
    let found = folders.map(|folder| folder.join("pgbouncer")).find(|program| program.is_file());
    found.context(
        "pgbouncer is neither in PATH nor in /usr/sbin; on Debian and Ubuntu: apt-get install pgbouncer, elsewhere: \
         https://www.pgbouncer.org",
    )
}

fn undertaker(account: &Account, process: u32, folder: &Path) -> Result<Child> {
    const SCRIPT: &str = r#"
        read -r _
        kill -KILL "$1"
        cd / && rm -rf "$2"
    "#;
    let mut command = Command::new("/bin/sh");
    account.apply(&mut command);
    command
        .args(["-c", SCRIPT, "undertaker"])
        .arg(process.to_string())
        .arg(folder)
        .current_dir(folder)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot run /bin/sh")
}
