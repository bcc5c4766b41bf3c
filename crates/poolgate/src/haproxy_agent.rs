//! Answers HAProxy's agent checks, so that the `maxconn` of its servers follows the permits.
//!
//! Where requests pass this process, the server's weight says in addition whether it should get new ones. The administrative
//! state (`drain`, `maint`, `ready`) stays the operator's.

use std::time::Duration;

use poolgate_server::Poolgate;
use poolgate_types::Status;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    time,
};

/// How long a check may take to read its line.
const PATIENCE: Duration = Duration::from_secs(1);
/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers each check until the process ends.
pub(crate) fn start(poolgate: Poolgate, listener: TcpListener) {
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((mut check, _)) => {
                    if let Err(error) = answer(&mut check, &line(&poolgate)).await {
                        tracing::debug!(%error, "HAProxy's agent check ended early");
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "Cannot accept HAProxy's agent check");
                    time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    });
}

async fn answer(check: &mut TcpStream, line: &str) -> std::io::Result<()> {
    let answered = async {
        check.write_all(line.as_bytes()).await?;
        check.shutdown().await
    };
    time::timeout(PATIENCE, answered).await?
}

fn line(poolgate: &Poolgate) -> String {
    let settings = poolgate.settings();
    let is_on_the_way = settings.watch.url.is_none() || settings.upstream.url.is_some();
    let is_ready = is_on_the_way.then(|| poolgate.readiness().missing().is_none());
    words(is_ready, permits(&poolgate.status()), settings.haproxy_agent.servers)
}

/// Requests that may be in progress; 0 while that is unknown.
fn permits(status: &Status) -> u32 {
    status.gate.as_ref().map_or(status.pool.capacity, |gate| gate.max_concurrent_requests)
}

/// The answer. `is_ready`: whether the server should get requests; `None` if they do not pass this process.
fn words(is_ready: Option<bool>, permits: u32, servers: u32) -> String {
    // It changes nothing by itself, but HAProxy wants an answer that says something.
    let mut words = "up".to_owned();
    match is_ready {
        Some(true) => words += " 100%",
        Some(false) => words += " 0%",
        None => {}
    }
    if permits > 0 {
        words += &format!(" maxconn:{}", (permits / servers).max(1));
    }
    words + "\n"
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn servers_share_the_permits_and_each_has_one() {
        assert_eq!(words(None, 25, 1), "up maxconn:25\n");
        assert_eq!(words(None, 25, 4), "up maxconn:6\n", "never more than 25 together");
        assert_eq!(words(None, 2, 4), "up maxconn:1\n");
    }

    #[test]
    fn what_is_unknown_is_not_said() {
        assert_eq!(words(None, 0, 1), "up\n");
    }

    #[test]
    fn a_server_that_is_not_ready_gets_no_new_requests() {
        assert_eq!(words(Some(true), 25, 1), "up 100% maxconn:25\n");
        assert_eq!(words(Some(false), 25, 1), "up 0% maxconn:25\n");
    }
}
