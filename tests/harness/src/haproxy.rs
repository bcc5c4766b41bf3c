//! The real HAProxy, with settings of a test.

use std::{
    fs,
    io::{self, Read, Write},
    net::TcpListener,
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// A running HAProxy. Ends when it is dropped.
#[derive(Debug)]
pub struct HaProxyProcess {
    process: Child,
    folder: TempDir,
}

impl HaProxyProcess {
    /// Starts it with these settings, which begin with the section `global`, and waits until it listens. It has a runtime API
    /// besides: [`socket`](Self::socket).
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn start(settings: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("poolgate-haproxy-").tempdir().expect("a folder");
        let socket = format!("global\n  stats socket {} mode 600 level admin\n", socket_in(&folder).display());
        let file = folder.path().join("haproxy.cfg");
        fs::write(&file, settings.replacen("global\n", &socket, 1)).expect("written");
        let process = Command::new(program())
            .args(["-db", "-f"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        let running = Self { process, folder };
        let begun = Instant::now();
        while running.ask("show info").is_err() {
            assert!(begun.elapsed() < Duration::from_secs(10), "HAProxy does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        running
    }

    /// Where its runtime API listens.
    pub fn socket(&self) -> PathBuf {
        socket_in(&self.folder)
    }

    /// The runtime API's answer to a command.
    ///
    /// # Errors
    ///
    /// If it does not answer.
    pub fn ask(&self, command: &str) -> io::Result<String> {
        let mut stream = UnixStream::connect(self.socket())?;
        writeln!(stream, "{command}")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

impl Drop for HaProxyProcess {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port that is free at the moment.
///
/// # Panics
///
/// If there is none.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

fn socket_in(folder: &TempDir) -> PathBuf {
    folder.path().join("admin.sock")
}

/// On PATH, or in Debian's folder for administrators.
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).chain(["/usr/sbin".into()]).map(|folder| folder.join("haproxy"));
    places.find(|place| place.is_file()).expect("haproxy is installed: cargo xtask test installs it")
}
