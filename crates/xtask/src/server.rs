//! The server's binary: builds it, and runs it for commands that talk to it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::http;
use crate::process;
use crate::project::Project;
use crate::step::step;

/// Prefix of the first output line, before the address.
const READY: &str = "Poolgate listening on http://";
/// Time for migrations and the demo data.
const START: Duration = Duration::from_secs(120);
const STOP: Duration = Duration::from_secs(20);

/// Builds the binary in the development profile, which the tests use too.
pub(crate) fn build(project: &Project) -> Result<PathBuf> {
    build_with(project, &[])
}

/// The same for the demo, which has no app to stand in front of.
pub(crate) fn build_without_gateway(project: &Project) -> Result<PathBuf> {
    build_with(project, &["--no-default-features"])
}

fn build_with(project: &Project, features: &[&str]) -> Result<PathBuf> {
    step("Building the server", || {
        process::run(project.cargo().args(["build", "--package", "poolgate", "--bin", "poolgate"]).args(features))?;
        Ok(binary(project))
    })
}

/// Path of the binary.
pub(crate) fn binary(project: &Project) -> PathBuf {
    project.target.join("debug").join(format!("poolgate{}", std::env::consts::EXE_SUFFIX))
}

/// A server in the background on a free port; it ends when dropped.
pub(crate) struct Server {
    child: Child,
    /// The address it listens on.
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts `poolgate --port 0` with more arguments in `folder`, writes its log there, and waits until it is ready.
    pub(crate) fn start(binary: &Path, folder: &Path, arguments: &[&str]) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let log = folder.join("poolgate.log");
        let mut child = Command::new(binary)
            .args(["--port", "0"])
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log)?)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let output = child.stdout.take().context("the server's output is not piped")?;
        let (send, receive) = mpsc::channel();
        // Reads until the end, so that a full pipe never blocks the server.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(address) = line.strip_prefix(READY) {
                    // Only the first line has a receiver.
                    send.send(address.trim().to_owned()).ok();
                }
            }
        });
        let address = receive.recv_timeout(START);
        let mut server = Self { child, address: ([127, 0, 0, 1], 0).into() };
        let address = address.with_context(|| format!("the server did not start; see {}", log.display()))?;
        server.address = address.parse()?;
        server.until_ready()?;
        Ok(server)
    }

    /// It listens before it has created the demo data.
    fn until_ready(&self) -> Result<()> {
        let start = Instant::now();
        while let Err(error) = http::request(self.address, "GET", "/readyz", None) {
            if start.elapsed() > START {
                return Err(error.context("the server did not become ready"));
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Sends SIGTERM first, as a supervisor does, and kills it if that does not help.
        let asked = Command::new("kill").arg(self.child.id().to_string()).status();
        let ended = asked.is_ok() && matches!(process::wait(&mut self.child, STOP), Ok(Some(_)));
        if !ended && let Err(error) = process::end_tree(&mut self.child) {
            eprintln!("cannot end the server: {error}");
        }
    }
}
