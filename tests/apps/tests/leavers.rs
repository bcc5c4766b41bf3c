//! Clients who start long queries and leave. gunicorn does not notice and goes on; the gate still lets no more queries
//! reach the database than it has permits, with nginx in front of it as well.

use std::{
    net::{SocketAddr, TcpListener, TcpStream as StdStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use poolgate_e2e::Server;
use poolgate_test_apps::PythonApp;
use poolgate_test_postgres::Postgres;
use tokio::{io::AsyncWriteExt, net::TcpStream, time};

const PERMITS: usize = 3;
/// Enough for every client, if the gate let them all through.
const WORKERS: u32 = 12;

/// nginx in front of the gateway; ended when dropped.
struct Nginx(Child);

impl Nginx {
    fn start(folder: &Path, gateway: SocketAddr) -> (Self, SocketAddr) {
        let address = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
        let at = folder.display();
        let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {at}/{name}; "))
            .concat();
        let settings = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log; events {{}}
             http {{ access_log off; {paths}
                     server {{ listen {address}; location / {{ proxy_pass http://{gateway}; }} }} }}"
        );
        let file = folder.join("settings");
        std::fs::write(&file, settings).expect("written");
        // Debian has it in a folder that is not on every user's PATH.
        let debian = Path::new("/usr/sbin/nginx");
        let mut nginx = Command::new(if debian.exists() { debian } else { Path::new("nginx") });
        let child = nginx.arg("-c").arg(file).stdin(Stdio::null()).spawn().expect("nginx");
        let begun = Instant::now();
        while StdStream::connect(address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(10), "nginx does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        (Self(child), address)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The most queries that ran at a time while clients came and left.
async fn most_at_work(postgres: &Postgres, front: SocketAddr) -> usize {
    let leavers = tokio::spawn(async move {
        for _ in 0..25 {
            let mut client = TcpStream::connect(front).await.expect("a connection");
            client.write_all(b"GET /orders HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
            time::sleep(Duration::from_millis(100)).await;
        }
    });
    let mut most = 0;
    let mut are_coming = true;
    loop {
        let at_work = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(1%'
                       AND pid <> pg_backend_pid()";
        let now: usize = postgres.sql("shop", at_work).expect("a count").trim().parse().expect("a number");
        most = most.max(now);
        if !are_coming && now == 0 {
            leavers.await.expect("joined");
            return most;
        }
        are_coming = !leavers.is_finished();
        time::sleep(Duration::from_millis(30)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python with Flask, which `cargo xtask test` installs"]
async fn queries_of_those_who_have_left_keep_their_permits() {
    let postgres = tokio::task::spawn_blocking(|| Postgres::start().expect("PostgreSQL")).await.expect("joined");
    let url = postgres.create_database("shop").expect("a database");
    let app = PythonApp::flask(WORKERS, &[("DATABASE_URL", &url), ("QUERY_MS", "1000")]).expect("the app");
    let alone = most_at_work(&postgres, app.address()).await;
    assert!(alone > 2 * PERMITS, "without a gate {alone} queries run at a time");
    let gateway = Server::builder()
        .arguments(["--upstream", &format!("http://{}", app.address())])
        .environment("POOLGATE_GATE__MAX_CONCURRENT_REQUESTS", &PERMITS.to_string())
        .environment("POOLGATE_SERVER__ADMIN_BIND", "127.0.0.1:0")
        .start()
        .expect("the gateway");
    assert_eq!(most_at_work(&postgres, gateway.address()).await, PERMITS);
    let folder = tempfile::Builder::new().prefix("poolgate-nginx-").tempdir().expect("a folder");
    let (_nginx, address) = Nginx::start(folder.path(), gateway.address());
    assert_eq!(most_at_work(&postgres, address).await, PERMITS, "behind nginx");
}
