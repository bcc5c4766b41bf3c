//! A Python app under uvicorn.

use std::{
    env,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

/// Importing takes seconds on a busy machine.
const START: Duration = Duration::from_secs(60);

/// A running app; ended when dropped.
#[derive(Debug)]
pub struct Uvicorn {
    child: Child,
    address: SocketAddr,
}

impl Uvicorn {
    /// Starts the app in `tests/apps/NAME/app.py` on a free port, and waits until it listens. `TEST_APPS_PYTHON` names the
    /// Python that has what it requires.
    ///
    /// # Errors
    ///
    /// There is no such Python, or the app does not start.
    pub fn start(name: &str, environment: &[(&str, &str)]) -> Result<Self> {
        let python = env::var_os("TEST_APPS_PYTHON").context("TEST_APPS_PYTHON is not set: run `cargo xtask test`")?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new(python)
            .args(["-m", "uvicorn", "app:app", "--no-access-log", "--log-level", "critical"])
            .args(["--host", "127.0.0.1", "--port", &address.port().to_string()])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("the app cannot be started")?;
        let mut app = Self { child, address };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = app.child.try_wait()?;
            ensure!(ended.is_none() && begun.elapsed() < START, "the app does not listen: {ended:?}");
            thread::sleep(Duration::from_millis(50));
        }
        Ok(app)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Uvicorn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
