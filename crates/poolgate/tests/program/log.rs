//! What the log says.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use poolgate_test_postgres::Postgres;

/// Longer than any pause between two attempts.
const PATIENCE: Duration = Duration::from_secs(60);

/// A database `shop` of the role `app`, which has to give a password.
async fn shop() -> Postgres {
    let start = || {
        let postgres = Postgres::start().expect("PostgreSQL");
        let sql = |sql: &str| postgres.sql("postgres", sql).expect("done");
        sql("CREATE ROLE app LOGIN PASSWORD 'hunter2secret'");
        sql("CREATE DATABASE shop OWNER app");
        let file = sql("SHOW hba_file");
        let rules = "VALUES ('host all app 127.0.0.1/32 scram-sha-256'), ('host all all 127.0.0.1/32 trust')";
        sql(&format!("COPY ({rules}) TO '{file}'"));
        sql("SELECT pg_reload_conf()");
        postgres
    };
    tokio::task::spawn_blocking(start).await.expect("joined")
}

/// Ends the process when the test ends, however that is.
struct Child(std::process::Child);

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_says_once_why_the_database_cannot_be_used() {
    let postgres = shop().await;
    let folder = tempfile::TempDir::new().expect("a folder");
    let with_password = postgres.url("shop").replace("postgres@", "app:hunter2wrong@");
    let missing = format!("sqlite://{}?mode=rw", folder.path().join("no/such/folder.db").display());
    for (url, cause) in [(with_password, "password authentication failed for user"), (missing, "unable to open")] {
        let log = folder.path().join("log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_poolgate"));
        command.args(["--port", "0", "--database-url", &url]).env_remove("DATABASE_URL").env("RUST_LOG", "info");
        command.stdout(Stdio::null()).stderr(std::fs::File::create(&log).expect("a file"));
        let _child = Child(command.spawn().expect("started"));
        let begun = Instant::now();
        let text = loop {
            assert!(begun.elapsed() < PATIENCE, "{:?}", std::fs::read_to_string(&log));
            let text = std::fs::read_to_string(&log).expect("the log");
            // Open, half-open, open, half-open, open.
            if text.matches("circuit breaker changed").count() >= 5 {
                break text;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let told: Vec<_> = text.lines().filter(|line| line.contains(cause)).collect();
        assert_eq!(told.len(), 1, "{text}");
        assert!(told[0].contains("\"level\":\"ERROR\""), "{}", told[0]);
        assert!(!text.contains("hunter2"), "{text}");
    }
}
