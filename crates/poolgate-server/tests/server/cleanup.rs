//! A pool that stays full: alerts, log lines, and one automatic cleanup that says honestly what it freed.

use std::{
    io,
    sync::{Arc, Mutex},
};

use crate::harness::{eventually, server};
use poolgate_types::{AlertKind, CleanupTrigger, Health, Severity};
use tracing_subscriber::fmt::MakeWriter;

/// Collects the lines that this thread logs.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("not poisoned")).into_owned()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_pool_that_stays_full_is_reported_and_cleaned_once() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_writer(lines.clone()).with_ansi(false).finish();
    // The monitor's task runs on this thread as well.
    let _guard = tracing::subscriber::set_default(subscriber);
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
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(status().last_cleanup.expect("there").started_at, report.started_at);
    drop(leases);
    eventually("healthy", || status().health == Health::Healthy).await;
    let text = lines.text();
    for line in ["Poolgate started", "Connection pool usage high: 9", "Database health changed", "Connection pool cleanup"] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(text.contains("ERROR"), "the critical alert is an error\n{text}");
}
