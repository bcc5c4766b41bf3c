//! Bad settings stop the start, and the message names the key.

use std::net::TcpListener;

use anyhow::Result;
use poolgate_e2e::{Server, ServerBuilder};

use crate::share;

fn refused(builder: ServerBuilder, named: &str) -> Result<()> {
    let ended = builder.run_to_its_end()?;
    assert!(!ended.status.success(), "{named}: {}", ended.output);
    assert!(ended.output.contains(named), "{named} is not named: {}", ended.output);
    assert!(!ended.output.contains("panicked"), "{}", ended.output);
    Ok(())
}

#[tokio::test]
async fn invalid_settings_are_named() -> Result<()> {
    let _machine = share().await;
    let demo = || Server::builder().demo();
    refused(demo().environment("POOLGATE_POOL__SIZE", "0"), "pool.size")?;
    refused(demo().environment("POOLGATE_POOL__SIZE", "many"), "pool.size")?;
    refused(demo().environment("POOLGATE_POOL__SISE", "5"), "pool.sise")?;
    refused(demo().environment("POOLGATE_THRESHOLDS__INFO", "95"), "thresholds")?;
    refused(Server::builder(), "database.url")?;
    refused(Server::builder().database("mysql://localhost/x"), "database.url")?;

    let folder = tempfile::tempdir()?;
    let file = folder.path().join("poolgate.toml");
    for (text, named) in [
        ("[gate]\ntimeout = \"soon\"\n", "gate.timeout"),
        ("[gate]\nmax_concurent_requests = 5\n", "max_concurent_requests"),
        ("policy = \"strict\"\n", "policy"),
    ] {
        std::fs::write(&file, text)?;
        refused(demo().argument("--config").argument(&file), named)?;
        refused(demo().argument("--config").argument(&file).argument("--check-config"), named)?;
    }
    refused(demo().argument("--config").argument(folder.path().join("missing.toml")), "missing.toml")
}

#[tokio::test]
async fn settings_can_be_checked_and_shown_without_secrets() -> Result<()> {
    let _machine = share().await;
    let with_secret = || Server::builder().database("postgres://shop:hunter2@127.0.0.1:1/shop");
    let checked = with_secret().argument("--check-config").run_to_its_end()?;
    assert!(checked.status.success(), "{}", checked.output);
    let shown = with_secret()
        .environment("POOLGATE_SERVER__ADMIN_TOKEN", "a-token-that-stays-secret")
        .argument("--profile")
        .argument("before")
        .argument("--print-config")
        .run_to_its_end()?;
    assert!(shown.status.success(), "{}", shown.output);
    assert!(!shown.output.contains("hunter2") && !shown.output.contains("stays-secret"), "{}", shown.output);
    for line in
        ["size = 6", "max_overflow = 0", "timeout = \"2s\"", "max_concurrent_requests = 6", "timeout = \"50ms\""]
    {
        assert!(shown.output.contains(line), "{line}: {}", shown.output);
    }
    Ok(())
}

#[tokio::test]
async fn a_port_in_use_is_named() -> Result<()> {
    let _machine = share().await;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port();
    refused(Server::builder().demo().port(port), &format!("127.0.0.1:{port}"))
}
