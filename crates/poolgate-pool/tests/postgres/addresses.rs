//! Spellings of addresses, and the system's certificates.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use poolgate_pool::{any_options, postgres_options};

use super::*;

/// Forwards an IPv6 port to the server, which does not listen on IPv6.
#[tokio::test]
async fn an_ipv6_address_in_brackets_connects() -> Result {
    let Ok(listener) = tokio::net::TcpListener::bind("[::1]:0").await else {
        println!("this machine has no IPv6");
        return Ok(());
    };
    let (port, server) = (listener.local_addr()?.port(), SERVER.port());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut server = tokio::net::TcpStream::connect(("127.0.0.1", server)).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    let address = format!("postgresql+asyncpg://postgres@[::1]:{port}/postgres?sslmode=disable");
    let pool = Pool::<Postgres>::builder(postgres_options(&address)?).config(config(1, 0)).build()?;
    assert!(is_fresh(&mut pool.acquire().await?).await?);

    sqlx::any::install_default_drivers();
    let session = PostgresSession { application_name: Some("bracketed".to_owned()), ..PostgresSession::default() };
    let any = Pool::<Any>::builder(any_options(&address)?).postgres(session).config(config(1, 0)).build()?;
    let name: String =
        sqlx::query_scalar("SELECT current_setting('application_name')").fetch_one(&mut any.acquire().await?).await?;
    assert_eq!(name, "bracketed");
    Ok(())
}

/// `verify-full` with an authority that is only in the system's certificate store.
#[test]
fn an_authority_of_the_systems_store_is_trusted() -> Result {
    let server = Server::start()?;
    let folder = tempfile::tempdir()?;
    let authority = encrypt(&server, folder.path())?;
    let address = format!("postgres://postgres@localhost:{}/postgres?sslmode=verify-full", server.port());
    let connects = |store: &Path| -> Result<bool> {
        // The store belongs to a process, so the test runs in a child process.
        let child = Command::new(env::current_exe()?)
            .args(["--exact", "addresses::child_that_connects", "--ignored"])
            .env("SSL_CERT_FILE", store)
            .env_remove("SSL_CERT_DIR")
            .env("POOLGATE_TEST_ADDRESS", &address)
            .output()?;
        Ok(child.status.success())
    };
    assert!(connects(&authority)?);
    let empty = folder.path().join("empty.pem");
    fs::write(&empty, "")?;
    assert!(!connects(&empty)?, "an unknown authority");
    Ok(())
}

#[tokio::test]
#[ignore = "run by the test above"]
async fn child_that_connects() -> Result {
    let address = env::var("POOLGATE_TEST_ADDRESS")?;
    let mut connection = sqlx::PgConnection::connect_with(&postgres_options(&address)?).await?;
    let encrypted: bool = sqlx::query_scalar("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        .fetch_one(&mut connection)
        .await?;
    assert!(encrypted);
    Ok(())
}

/// Gives the server a certificate for `localhost`; returns the authority's certificate.
fn encrypt(server: &Server, folder: &Path) -> Result<std::path::PathBuf> {
    let openssl = |arguments: &[&str]| -> Result {
        let output = Command::new("openssl").args(arguments).current_dir(folder).output()?;
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into()),
        }
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    openssl(
        &[&["req", "-x509", "-days", "2", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem"], &key[..]]
            .concat(),
    )?;
    openssl(&[&["req", "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr"], &key[..]].concat())?;
    fs::write(folder.join("names"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")?;
    openssl(&[
        "x509",
        "-req",
        "-days",
        "2",
        "-in",
        "server.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-extfile",
        "names",
        "-out",
        "server.crt",
    ])?;
    for file in ["server.crt", "server.key"] {
        let text = fs::read_to_string(folder.join(file))?;
        // Written by the server itself, which must own the key.
        let copy = format!(
            "COPY (SELECT unnest(string_to_array('{}', '|'))) TO PROGRAM 'umask 077; cat > {file}'",
            text.trim().replace('\n', "|")
        );
        server.sql("postgres", &copy)?;
    }
    server.sql("postgres", "ALTER SYSTEM SET ssl = on")?;
    server.sql("postgres", "SELECT pg_reload_conf()")?;
    let deadline = Instant::now() + 10_000 * MS;
    while server.sql("postgres", "SHOW ssl")? != "on" {
        if Instant::now() > deadline {
            return Err(server.log().into());
        }
        std::thread::sleep(10 * MS);
    }
    Ok(folder.join("ca.pem"))
}
