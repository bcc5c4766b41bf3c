//! The closed loop: obedient users get more requests through than others, and are not limited afterwards.

use std::time::Duration;

use anyhow::Result;
use poolgate::demo::load::{Load, LoadReport, LoadRequest};
use poolgate_e2e::Server;
use poolgate_types::Level;
use tokio_util::sync::CancellationToken;

use crate::{alone, comes_to_rest};

const SECONDS: u32 = 10;

/// Offers twice what 25 permits and 100 ms can serve. Returns the report of the last 5 seconds, the highest level and
/// the largest number of live clients.
async fn overload(server: &Server, poolgate: bool) -> Result<(LoadReport, Level, u32)> {
    let request = LoadRequest { users: 100, requests_per_second: 500.0, hold_ms: 100, poolgate, seconds: SECONDS };
    let load = Load::start(server.address(), request, 7, &CancellationToken::new())?;
    let (mut level, mut live) = (Level::Normal, 0);
    let mut last = load.report();
    while last.elapsed_seconds < f64::from(SECONDS) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let status = server.status().await?;
        level = level.max(status.throttling_level);
        live = live.max(status.clients.live);
        last = load.report();
    }
    load.ended().await;
    Ok((last, level, live))
}

#[tokio::test]
async fn obedient_users_are_served_and_released_again() -> Result<()> {
    let _machine = alone().await;
    let server = Server::builder().demo().start()?;
    server.ready().await?;

    let (without, _, live) = overload(&server, false).await?;
    eprintln!("without: {without:?}");
    assert_eq!(live, 0);
    assert!(without.success_rate < 0.75, "twice the capacity is offered: {without:?}");
    let calm = async |server: &Server| server.config().await.is_ok_and(|config| !config.enforced);
    assert!(server.wait_until(Duration::from_secs(15), calm).await, "{:?}", server.status().await);

    let (with, level, live) = overload(&server, true).await?;
    eprintln!("with: {with:?}");
    assert_eq!(live, 100, "each user has its own stream");
    assert!(level >= Level::Moderate, "{level:?}");
    assert!(with.success_rate > 0.7 && with.success_rate > without.success_rate + 0.2, "{with:?}");
    assert!(with.goodput_per_second > 0.8 * without.goodput_per_second, "{with:?}");

    let normal = async |server: &Server| {
        server.config().await.is_ok_and(|config| config.throttling_level == Level::Normal && !config.enforced)
    };
    assert!(server.wait_until(Duration::from_secs(12), normal).await, "{:?}", server.status().await);
    comes_to_rest(&server).await
}
