//! A Python app under its server.

use std::{
    env,
    io::{self, Read, Write},
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
pub struct PythonApp {
    child: Child,
    address: SocketAddr,
}

impl PythonApp {
    /// Starts the FastAPI app in `tests/apps/fastapi` under uvicorn on a free port, and waits until it answers.
    /// `TEST_FASTAPI_PYTHON` names the Python that has what it requires.
    ///
    /// # Errors
    ///
    /// There is no such Python, or the app does not start.
    pub fn fastapi(environment: &[(&str, &str)]) -> Result<Self> {
        let address = free_address()?;
        let port = address.port().to_string();
        let arguments = ["-m", "uvicorn", "app:app", "--no-access-log", "--log-level", "critical", "--port", &port];
        Self::start("fastapi", "TEST_FASTAPI_PYTHON", &arguments, address, environment)
    }

    /// Starts the Flask app in `tests/apps/flask` under gunicorn, with this many workers, each of which does one request at a time.
    /// `TEST_FLASK_PYTHON` names the Python that has what it requires.
    ///
    /// # Errors
    ///
    /// There is no such Python, or the app does not start.
    pub fn flask(workers: u32, environment: &[(&str, &str)]) -> Result<Self> {
        let address = free_address()?;
        let (bind, workers) = (address.to_string(), workers.to_string());
        let arguments = [
            "-m",
            "gunicorn",
            "--log-level",
            "critical",
            "--no-control-socket",
            "--threads",
            "1",
            "--workers",
            &workers,
            "--bind",
            &bind,
        ];
        Self::start("flask", "TEST_FLASK_PYTHON", &[&arguments[..], &["app:app"]].concat(), address, environment)
    }

    fn start(
        name: &str,
        python: &str,
        arguments: &[&str],
        address: SocketAddr,
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let program = env::var_os(python).with_context(|| format!("{python} is not set: run `cargo xtask test`"))?;
        let child = Command::new(program)
            .args(arguments)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("the app cannot be started")?;
        let mut app = Self { child, address };
        let begun = Instant::now();
        while answers(address).is_err() {
            let ended = app.child.try_wait()?;
            ensure!(ended.is_none() && begun.elapsed() < START, "the app does not answer: {ended:?}");
            thread::sleep(Duration::from_millis(50));
        }
        Ok(app)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// gunicorn listens before its workers are there.
fn answers(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    stream.read_exact(&mut [0])
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

impl Drop for PythonApp {
    fn drop(&mut self) {
        // SIGTERM, so that gunicorn ends its workers; the shell's own `kill` is on every machine with signals.
        let _ = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.child.id())]).status();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(5) {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
