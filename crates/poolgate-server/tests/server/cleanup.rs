//! A pool that stays full: alerts, and one automatic cleanup that says honestly what it freed.

use std::time::Duration;

use crate::harness::{eventually, server};
use poolgate_types::{AlertKind, CleanupTrigger, Health, Severity};

#[tokio::test]
async fn a_pool_that_stays_full_is_reported_and_cleaned_once() {
    let server = server(|_| {}).await;
    let mut leases = Vec::new();
    for _ in 0..3 {
        leases.push(server.pool.acquire().await.expect("a connection"));
    }
    let status = || server.poolgate.status();
    eventually("critical", || status().health == Health::Critical).await;
    let alerts = status().alerts;
    let usage = alerts.iter().find(|alert| alert.kind == AlertKind::PoolUsage).expect("raised");
    assert_eq!(usage.severity, Severity::Critical, "{usage:?}");
    eventually("cleaned", || status().last_cleanup.is_some()).await;
    let report = status().last_cleanup.expect("there");
    assert_eq!((report.trigger, report.freed), (CleanupTrigger::Automatic, 0));
    assert_eq!((report.checked_out_before, report.checked_out_after), (3, 3));
    // It is due with every tick, and still cooling down.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(status().last_cleanup.expect("there").started_at, report.started_at);
    drop(leases);
    eventually("healthy", || status().health == Health::Healthy).await;
}
