//! The server's binary: built, and run beside a command that talks to it.

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

/// The first line on its standard output says where it listens, after this.
const READY: &str = "Poolgate listening on http://";
/// Migrations and the demo's data take their time.
const START: Duration = Duration::from_secs(120);
const STOP: Duration = Duration::from_secs(20);

/// Builds the binary in the development profile, which the tests use too.
pub(crate) fn build(project: &Project) -> Result<PathBuf> {
    step("Building the server", || {
        process::run(project.cargo().args(["build", "--package", "poolgate", "--bin", "poolgate"]))?;
        Ok(binary(project))
    })
}

/// Where cargo puts it.
pub(crate) fn binary(project: &Project) -> PathBuf {
    project.target.join("debug").join(format!("poolgate{}", std::env::consts::EXE_SUFFIX))
}

/// A server in the background, on a free port; ended when dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts `poolgate --port 0` with more arguments, in `folder`, where its log goes as well, and waits until it is
    /// ready.
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
        let output = child.stdout.take().context("its output is piped")?;
        let (send, receive) = mpsc::channel();
        // Reads to the end, so that the server never waits for a full pipe.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(address) = line.strip_prefix(READY) {
                    // Nobody listens any more after the first.
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

    /// It listens before it has made the demo's data.
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
        // Asks first, as a supervisor would; where that does not help, ends it.
        let asked = Command::new("kill").arg(self.child.id().to_string()).status();
        let ended = asked.is_ok() && matches!(process::wait(&mut self.child, STOP), Ok(Some(_)));
        if !ended && let Err(error) = process::end_tree(&mut self.child) {
            eprintln!("cannot end the server: {error}");
        }
    }
}
