//! `poolgate serve --upstream` as a process, and a small client for it.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// A gateway on free ports. Ends when it is dropped.
pub(crate) struct Gateway {
    pub(crate) child: Child,
    pub(crate) public: String,
    pub(crate) admin: String,
    log: Arc<Mutex<Vec<String>>>,
}

impl Gateway {
    /// Starts it in front of this app.
    pub(crate) fn start(app: SocketAddr, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_poolgate"));
        command.args(["serve", "--port", "0", "--upstream", &format!("http://{app}")]).args(arguments);
        Self::spawn(command.envs(environment.iter().copied()))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        command.env_remove("DATABASE_URL").env("RUST_LOG", "info").env("POOLGATE_SERVER__ADMIN_BIND", "127.0.0.1:0");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let public = line.trim().strip_prefix("Poolgate listening on http://").expect("the ready line").to_owned();
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
        let admin = lines.find_map(|line| Some(line.split_once("for operators: http://")?.1.to_owned()));
        let admin = admin.expect("the log names it").split(' ').next().expect("an address").to_owned();
        let log = Arc::<Mutex<Vec<String>>>::default();
        let kept = Arc::clone(&log);
        thread::spawn(move || lines.for_each(|line| kept.lock().expect("whole").push(line)));
        Self { child, public, admin, log }
    }

    /// Whether a line of the log holds all of these.
    pub(crate) fn has_logged(&self, parts: &[&str]) -> bool {
        self.log.lock().expect("whole").iter().any(|line| parts.iter().all(|part| line.contains(part)))
    }

    pub(crate) async fn status(&self) -> Value {
        let (status, body) = get(&self.public, "/api/v1/health/database/status").await.expect("an answer");
        // With a breaker that is not closed it is a problem document with the same members.
        assert!([200, 503].contains(&status), "{body}");
        serde_json::from_str(&body).expect("JSON")
    }

    pub(crate) async fn metrics(&self) -> String {
        get(&self.admin, "/metrics").await.expect("an answer").1
    }

    /// Waits until `condition` holds for the status.
    pub(crate) async fn eventually(&self, what: &str, seconds: u64, condition: impl Fn(&Value) -> bool) -> Value {
        let begun = std::time::Instant::now();
        loop {
            let status = self.status().await;
            if condition(&status) {
                return status;
            }
            assert!(begun.elapsed() < Duration::from_secs(seconds), "not {what} within {seconds} s: {status:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill").success());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request on a connection of its own: status and body.
pub(crate) async fn get(address: &str, path: &str) -> std::io::Result<(u16, String)> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.get(9..12).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| std::io::Error::other(format!("no answer: {answer:?}")))?;
        Ok((status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()))
    };
    timeout(Duration::from_secs(20), exchange).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}
