//! A database that is down and comes back.

use std::time::Duration;

use anyhow::Result;
use http::StatusCode;
use poolgate::demo::load::{Load, LoadRequest};
use poolgate_e2e::Server;
use poolgate_test_postgres::Postgres;
use poolgate_types::{CircuitState, Health, codes, routes};
use tokio_util::sync::CancellationToken;

use crate::{comes_to_rest, share};

async fn is_out(server: &Server) -> bool {
    let Ok(answer) = server.get(routes::STATUS).await else { return false };
    answer.status == StatusCode::SERVICE_UNAVAILABLE
}

async fn is_back(server: &Server) -> bool {
    let (Ok(answer), Ok(config)) = (server.get(routes::STATUS).await, server.config().await) else { return false };
    let closed = server.status().await.is_ok_and(|status| status.circuit_breaker == CircuitState::Closed);
    answer.status == StatusCode::OK && closed && !config.circuit_breaker_open
}

#[tokio::test]
async fn the_start_waits_for_a_database_that_is_down() -> Result<()> {
    let _machine = share().await;
    let mut postgres = Postgres::start()?;
    let url = postgres.create_database("shop")?;
    postgres.stop()?;
    let server = Server::builder().demo().database(&url).start()?;
    assert_eq!(server.get(routes::PING).await?.status, StatusCode::OK);
    assert!(server.wait_until(Duration::from_secs(15), is_out).await, "{:?}", server.status().await);
    let answer = server.get(routes::STATUS).await?;
    assert_eq!(answer.problem()?.code, codes::DATABASE_UNAVAILABLE);
    assert_eq!(server.get(routes::READYZ).await?.status, StatusCode::SERVICE_UNAVAILABLE);
    let answer = server.get("/api/v1/shop/products/1").await?;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.problem()?.code, codes::DATABASE_UNAVAILABLE);
    let answer = server.get(routes::CONNECTION_TEST).await?;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    answer.problem()?;

    postgres.start_again()?;
    server.ready().await?;
    assert!(server.wait_until(Duration::from_secs(60), is_back).await, "{:?}", server.status().await);
    let sells = async |server: &Server| {
        server.get("/api/v1/shop/products/1").await.is_ok_and(|answer| answer.status == StatusCode::OK)
    };
    assert!(server.wait_until(Duration::from_secs(30), sells).await);
    Ok(())
}

#[tokio::test]
async fn a_database_that_dies_under_load_opens_the_breaker_until_it_is_back() -> Result<()> {
    let _machine = share().await;
    let mut postgres = Postgres::start()?;
    let server = Server::builder().demo().database(&postgres.create_database("shop")?).start()?;
    server.ready().await?;
    let request = LoadRequest { users: 20, requests_per_second: 60.0, hold_ms: 50, poolgate: true, seconds: 120 };
    let load = Load::start(server.address(), request, 1, &CancellationToken::new())?;
    let flows = async |_: &Server| load.report().succeeded > 50;
    assert!(server.wait_until(Duration::from_secs(15), flows).await, "{:?}", load.report());

    postgres.kill()?;
    let open = async |server: &Server| {
        let open = server.config().await.is_ok_and(|config| config.circuit_breaker_open);
        open && is_out(server).await
    };
    assert!(server.wait_until(Duration::from_secs(20), open).await, "{:?}", server.status().await);
    let status = server.status().await?;
    assert_eq!((status.health, status.circuit_breaker), (Health::Critical, CircuitState::Open));
    assert_eq!(server.get(routes::PING).await?.status, StatusCode::OK);
    // The users know that the breaker is open and give up requests before sending.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = load.report();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = load.report();
    let (wanted, sent) = (after.wanted - before.wanted, after.sent - before.sent);
    assert!(wanted > 100 && sent < wanted / 5, "{sent} of {wanted} were sent while the breaker was open");

    postgres.start_again()?;
    assert!(server.wait_until(Duration::from_secs(60), is_back).await, "{:?}", server.status().await);
    let recovered = async |_: &Server| {
        let report = load.report();
        report.success_rate > 0.95 && report.goodput_per_second > 50.0
    };
    assert!(server.wait_until(Duration::from_secs(40), recovered).await, "{:?}", load.report());
    load.stop().await;
    comes_to_rest(&server).await
}
