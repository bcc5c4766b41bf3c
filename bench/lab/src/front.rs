//! What stands between the users and an app: nothing, HAProxy, nginx or Poolgate; or HAProxy before many replicas.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use poolgate_e2e::Server;
use tempfile::TempDir;

use crate::{cpu, machine::Process};

const START: Duration = Duration::from_secs(20);
/// Connections that HAProxy and nginx may have; they want two descriptors for each.
const CONNECTIONS: u32 = 8_000;

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nothing,
    Haproxy,
    Nginx,
    Poolgate,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Nothing, Self::Haproxy, Self::Nginx, Self::Poolgate];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing between",
            Self::Haproxy => "HAProxy",
            Self::Nginx => "nginx",
            Self::Poolgate => "Poolgate",
        }
    }
}

/// A running one; ended when dropped.
pub(crate) struct Front {
    address: SocketAddr,
    running: Running,
}

enum Running {
    Nothing,
    Poolgate(Server),
    Other(Process, #[expect(dead_code, reason = "the folder is removed with it")] TempDir),
}

impl Front {
    /// Starts one on these processors. It lets at most `at_a_time` requests through to the app at a time.
    pub(crate) fn start(kind: Kind, app: SocketAddr, at_a_time: u32, cpus: &[usize]) -> Result<Self> {
        cpu::pinned(cpus, || match kind {
            Kind::Nothing => Ok(Self { address: app, running: Running::Nothing }),
            Kind::Poolgate => {
                let server = Server::builder()
                    .arguments(["--upstream", &format!("http://{app}")])
                    .environment("POOLGATE_GATE__MAX_CONCURRENT_REQUESTS", &at_a_time.to_string())
                    .environment("POOLGATE_SERVER__ADMIN_BIND", "127.0.0.1:0")
                    .start()?;
                Ok(Self { address: server.address(), running: Running::Poolgate(server) })
            }
            Kind::Haproxy => other("haproxy", &["-db", "-f"], |address, _| limiter(address, app, at_a_time)),
            Kind::Nginx => other("nginx", &["-c"], |address, folder| nginx(address, app, at_a_time, folder)),
        })?
    }

    /// Starts HAProxy before replicas on these processors. It sends requests in turn to those that are ready.
    pub(crate) fn balance(replicas: &[SocketAddr], cpus: &[usize]) -> Result<Self> {
        cpu::pinned(cpus, || other("haproxy", &["-db", "-f"], |address, _| balancer(address, replicas)))?
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process, where there is one.
    pub(crate) fn process_id(&self) -> Option<u32> {
        match &self.running {
            Running::Nothing => None,
            Running::Poolgate(server) => Some(server.process_id()),
            Running::Other(process, _) => Some(process.0.id()),
        }
    }
}

/// A program of Debian with these settings, on a free port.
fn other(program: &str, arguments: &[&str], settings: impl FnOnce(SocketAddr, &Path) -> String) -> Result<Front> {
    let folder = tempfile::Builder::new().prefix("poolgate-lab-").tempdir()?;
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let file = folder.path().join("settings");
    fs::write(&file, settings(address, folder.path()))?;
    let log = folder.path().join("log");
    // Debian has them in a folder that is not on every user's PATH.
    let installed = Path::new("/usr/sbin").join(program);
    let child = Command::new(if installed.exists() { installed.as_os_str() } else { program.as_ref() })
        .args(arguments)
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&log)?)
        .spawn()
        .with_context(|| {
            format!("cannot start {program}: `cargo xtask bench gateway` and `bench overload` install it")
        })?;
    let mut process = Process(child);
    let begun = Instant::now();
    while TcpStream::connect(address).is_err() {
        let ended = process.0.try_wait()?;
        ensure!(ended.is_none() && begun.elapsed() < START, "{program}: {}", fs::read_to_string(&log)?);
        thread::sleep(Duration::from_millis(20));
    }
    Ok(Front { address, running: Running::Other(process, folder) })
}

/// Half a second in the queue, as Poolgate and the app have it.
fn limiter(address: SocketAddr, app: SocketAddr, at_a_time: u32) -> String {
    haproxy(address, &format!("    timeout queue 500ms\n    server app {app} maxconn {at_a_time}\n"))
}

/// A request whose connection is refused goes to another replica, and a replica that is not ready gets none.
fn balancer(address: SocketAddr, replicas: &[SocketAddr]) -> String {
    let servers = replicas.iter().enumerate().map(|(index, replica)| format!("    server r{index} {replica}\n"));
    let servers: String = servers.collect();
    let backend = format!(
        "    balance roundrobin
    option forwardfor
    option redispatch 1
    retries 2
    option httpchk GET /readyz
    default-server check inter 500ms fall 2 rise 1
{servers}"
    );
    haproxy(address, &backend)
}

/// HAProxy on one processor, with these lines for what is behind it.
fn haproxy(address: SocketAddr, backend: &str) -> String {
    format!(
        "global
    maxconn {CONNECTIONS}
    nbthread 1
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
frontend public
    bind {address}
    default_backend app
backend app
{backend}"
    )
}

/// In one process, so that it can be measured. It has no queue.
fn nginx(address: SocketAddr, app: SocketAddr, at_a_time: u32, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log crit;
events {{ worker_connections {CONNECTIONS}; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_read_timeout 1h;
    map $http_upgrade $hop_by_hop {{ default upgrade; '' ''; }}
    upstream app {{ server {app}; keepalive 64; }}
    limit_conn_zone $server_name zone=app:1m;
    server {{
        listen {address};
        server_name app;
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $hop_by_hop;
            limit_conn app {at_a_time};
        }}
    }}
}}
"
    )
}
