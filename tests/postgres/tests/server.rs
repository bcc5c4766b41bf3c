//! Tests of the harness itself, on the real server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use poolgate_test_postgres::{PgBouncer, Postgres, Proxy};

#[test]
fn a_server_survives_stop_and_kill_and_leaves_nothing_behind() -> anyhow::Result<()> {
    let mut postgres = Postgres::start_with_max_connections(17)?;
    let port = postgres.port();
    let url = postgres.create_database("shop")?;
    assert_eq!(url, format!("postgres://postgres@127.0.0.1:{port}/shop"));
    assert_eq!(postgres.sql("shop", "SHOW max_connections")?, "17");
    let folder = postgres.sql("shop", "SHOW data_directory")?;
    assert!(postgres.create_database("Bobby; tables").is_err());

    postgres.sql("shop", "CREATE TABLE t (n int); INSERT INTO t VALUES (7)")?;
    postgres.stop()?;
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(postgres.stop().is_err(), "stopped already");
    postgres.start_again()?;
    assert_eq!(postgres.sql("shop", "SELECT n FROM t")?, "7");

    postgres.kill()?;
    postgres.start_again()?;
    assert_eq!(postgres.sql("shop", "SELECT 1")?, "1");

    drop(postgres);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    let deadline = Instant::now() + Duration::from_secs(5);
    while std::fs::exists(&folder)? {
        assert!(Instant::now() < deadline, "{folder} is still there");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

#[test]
fn a_pooler_forwards_to_the_server_and_leaves_nothing_behind() -> anyhow::Result<()> {
    let postgres = Postgres::start()?;
    postgres.create_database("shop")?;
    let pooler = PgBouncer::start(&postgres, "shop", &["pool_mode=transaction", "default_pool_size=3"])?;
    assert!(pooler.console("SHOW VERSION")?.starts_with("PgBouncer"));
    assert!(pooler.console("SHOW CONFIG")?.lines().any(|line| line.starts_with("default_pool_size|3|")));
    let address = ("127.0.0.1", pooler.port());
    assert!(TcpStream::connect(address).is_ok());
    drop(pooler);
    assert!(TcpStream::connect(address).is_err());
    Ok(())
}

#[test]
fn a_frozen_server_is_silent_until_it_is_continued() -> anyhow::Result<()> {
    let postgres = Postgres::start()?;
    let frozen = postgres.freeze()?;
    let mut connection = TcpStream::connect(("127.0.0.1", postgres.port()))?;
    connection.set_read_timeout(Some(Duration::from_millis(300)))?;
    let ssl_request = [0, 0, 0, 8, 4, 210, 22, 47];
    connection.write_all(&ssl_request)?;
    assert!(connection.read(&mut [0; 1]).is_err(), "it answers");
    drop(frozen);
    assert_eq!(postgres.sql("postgres", "SELECT 1")?, "1");
    Ok(())
}

#[tokio::test]
async fn a_proxy_redirects_and_delays_connections() -> anyhow::Result<()> {
    let (postgres, other) = (Postgres::start()?, Postgres::start()?);
    let proxy = Proxy::to(postgres.port()).await?;
    proxy.lead_to(other.port());
    proxy.delay_connects(Duration::from_millis(300));
    let url = proxy.url("postgres");
    let started = Instant::now();
    let port = tokio::task::spawn_blocking(move || postgres.sql_at(&url, "SHOW port")).await??;
    assert_eq!(port, other.port().to_string());
    assert!(started.elapsed() >= Duration::from_millis(300));
    Ok(())
}

#[test]
fn a_standby_follows_until_it_is_promoted() -> anyhow::Result<()> {
    let primary = Postgres::start()?;
    primary.sql("postgres", "CREATE TABLE t (n int); INSERT INTO t VALUES (7)")?;
    let standby = primary.start_standby()?;
    assert_eq!(standby.sql("postgres", "SELECT n FROM t")?, "7");
    assert!(standby.sql("postgres", "INSERT INTO t VALUES (8)").is_err(), "a standby takes no writes");
    standby.promote()?;
    standby.sql("postgres", "INSERT INTO t VALUES (8)")?;
    assert_eq!(standby.sql("postgres", "SELECT count(*) FROM t")?, "2");
    assert!(standby.promote().is_err(), "it is no longer a standby");
    Ok(())
}
