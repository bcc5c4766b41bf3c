//! Restarts, and shutdowns with connected clients.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use http::StatusCode;
use poolgate_e2e::Server;

use crate::share;

#[tokio::test]
async fn a_second_start_finds_everything_in_place() -> Result<()> {
    let _machine = share().await;
    let folder = tempfile::tempdir()?;
    let first = Server::builder().demo().folder(folder.path()).start()?;
    first.ready().await?;
    assert!(first.log().contains("creating the shop's tables"), "{}", first.log());
    let (status, _) = first.terminate()?;
    assert!(status.success());

    let started = Instant::now();
    let second = Server::builder().demo().folder(folder.path()).start()?;
    second.ready().await?;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(!second.log().contains("creating the shop's tables"), "{}", second.log());
    assert_eq!(second.get("/api/v1/shop/products/1").await?.status, StatusCode::OK);
    Ok(())
}

#[tokio::test]
async fn a_killed_start_is_completed_by_the_next() -> Result<()> {
    let _machine = share().await;
    let folder = tempfile::tempdir()?;
    let first = Server::builder().demo().folder(folder.path()).start()?;
    let begun = async |server: &Server| server.log().contains("table filled");
    assert!(first.wait_until(Duration::from_secs(20), begun).await, "{}", first.log());
    // Dropping the server kills it.
    drop(first);
    let second = Server::builder().demo().folder(folder.path()).start()?;
    second.ready().await?;
    assert_eq!(second.get("/api/v1/shop/products/1").await?.status, StatusCode::OK);
    Ok(())
}

#[tokio::test]
async fn a_shutdown_ends_streams_first_and_answers_what_is_in_flight() -> Result<()> {
    let _machine = share().await;
    let server = Server::builder().demo().start()?;
    server.ready().await?;
    let mut streams = Vec::new();
    for number in 0..50 {
        let mut stream = server.events(&format!("?client={number}&topics=config,status")).await?;
        let first = stream.next(Duration::from_secs(5)).await?.context("an event")?;
        assert_eq!(first.name, "config");
        streams.push(stream);
    }
    let client = server.client().clone();
    let in_flight = tokio::spawn(async move { client.get("/api/v1/lab/hold?hold_ms=700").await });
    let held = async |server: &Server| {
        server.status().await.is_ok_and(|status| status.gate.is_some_and(|gate| gate.in_flight == 1))
    };
    assert!(server.wait_until(Duration::from_secs(5), held).await);

    let ending = tokio::task::spawn_blocking(move || server.terminate());
    for mut stream in streams {
        let mut last = None;
        while let Some(event) = stream.next(Duration::from_secs(5)).await? {
            last = Some(event.name);
        }
        assert_eq!(last.as_deref(), Some("bye"));
    }
    assert_eq!(in_flight.await??.status, StatusCode::OK);
    let (status, took) = ending.await??;
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    Ok(())
}

#[tokio::test]
async fn a_running_load_does_not_delay_a_shutdown() -> Result<()> {
    let _machine = share().await;
    let server = Server::builder().demo().start()?;
    server.ready().await?;
    let load = serde_json::json!({
        "users": 50, "requests_per_second": 100.0, "hold_ms": 50, "poolgate": true, "seconds": 60,
    });
    server.client().post_json(poolgate::demo::routes::LAB_LOAD, &load).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (status, took) = server.terminate()?;
    assert!(status.success() && took < Duration::from_secs(2), "{status} after {took:?}");
    Ok(())
}
