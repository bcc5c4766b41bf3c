//! A pool that stays full: alerts, and one automatic cleanup with a correct report.

use std::time::Duration;

use poolgate_test_harness::{eventually, server};
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
    // A cleanup is due at every tick, but its cooldown has not passed.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(status().last_cleanup.expect("there").started_at, report.started_at);
    drop(leases);
    eventually("healthy", || status().health == Health::Healthy).await;
}

#[tokio::test]
async fn automatic_cleanups_that_free_nothing_stop_and_say_so() {
    let server = server(|settings| settings.cleanup.cooldown = Duration::from_secs(1)).await;
    let mut leases = Vec::new();
    for _ in 0..3 {
        leases.push(server.pool.acquire().await.expect("a connection"));
    }
    let stopped = || server.poolgate.status().alerts.into_iter().find(|it| it.kind == AlertKind::CleanupIneffective);
    eventually("stopped", || stopped().is_some()).await;
    let alert = stopped().expect("raised");
    assert!(alert.message.contains("0 freed, 3 leases busy"), "{alert:?}");
    let last = server.poolgate.status().last_cleanup;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(server.poolgate.status().last_cleanup, last, "no third one");
    drop(leases);
    eventually("over", || stopped().is_none()).await;
}

/// SQLite has no visible sessions: only the holder's next use fails.
#[tokio::test]
async fn a_lease_without_a_session_is_revoked_once_and_freed_on_return() {
    const SECOND: Duration = Duration::from_secs(1);
    let server = server(|settings| {
        settings.server.admin_token = Some(poolgate_server::settings::Secret::new("a token of some length"));
        let cleanup = &mut settings.cleanup;
        (cleanup.revoke, cleanup.revoke_after, cleanup.manual_cooldown) = (true, SECOND, SECOND);
    });
    let server = server.await;
    let mut lease = server.pool.acquire().await.expect("a connection");
    let clean = async || {
        tokio::time::sleep(SECOND * 11 / 10).await;
        let admin = [("authorization", "Bearer a token of some length")];
        let report = server.post(poolgate_types::routes::FORCE_CLEANUP, &admin).await.json();
        (report["revoked"].as_u64(), report["freed"].as_u64(), report["checked_out_after"].as_u64())
    };
    assert_eq!(clean().await, (Some(1), Some(0), Some(1)));
    assert_eq!(clean().await, (Some(0), Some(0), Some(1)), "once is enough");
    let used = sqlx::query("SELECT 1").fetch_one(&mut lease).await.map(drop);
    assert!(poolgate_pool::Revoked::caused(&used.expect_err("revoked")));
    drop(lease);
    assert_eq!(server.pool.counts().checked_out, 0);
}
