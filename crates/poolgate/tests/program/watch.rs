//! `poolgate serve --watch` as operators use it.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    time::Duration,
};

use poolgate_test_harness::{
    eventually,
    sources::{connect, pooler, postgres},
};
use sqlx::{Executor, raw_sql};

use crate::process::{Running, poolgate};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_watches_a_pooler_and_publishes_its_figures() {
    let pooler = pooler(postgres().await, "postgres", &["pool_mode=transaction", "default_pool_size=7"]).await;
    let url = format!("pgbouncer://stats@127.0.0.1:{}/postgres", pooler.port());
    let running = Running::start(&["serve", "--port", "0", "--watch", &url]);
    eventually("ready", || running.get("/readyz").contains("200 OK")).await;
    let status = running.get("/api/v1/health/database/status");
    assert!(status.contains("\"capacity\":7") && status.contains("\"waiting\":0"), "{status}");
    for unknown in ["gate", "error_rate", "response_time_ms"] {
        assert!(status.contains(&format!("\"{unknown}\":null")), "{unknown}: {status}");
    }
    let config = running.get("/api/v1/health/database/throttling-config");
    assert!(config.contains("\"throttling_level\":\"NORMAL\""), "{config}");
    let metrics = running.get("/metrics");
    assert!(metrics.contains("db_client_connection_max{pool=\"main\"} 7"), "{metrics}");
    for unknown in [
        "db_client_connection_timeouts_total{",
        "db_client_connection_idle_max{",
        "poolgate_oldest_checkout_age_seconds{",
        "poolgate_pool_efficiency_ratio{",
        "wait_time_seconds_count{",
        "poolgate_requests_total{",
        "poolgate_usage_ratio{of=\"gate\"}",
    ] {
        assert!(!metrics.contains(unknown), "{unknown} is unknown here, not zero: {metrics}");
    }
    let app = pooler.url("app", "postgres");
    let load = tokio::spawn(async move {
        let mut client = connect(&app).await;
        while client.execute(raw_sql("SELECT 1")).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let forecast = || {
        let metrics = running.get("/metrics");
        let line = metrics.lines().find_map(|line| line.strip_prefix("poolgate_forecast_requests_per_second "));
        line.and_then(|number| number.parse::<f64>().ok())
    };
    eventually("a forecast of what comes to the pooler", || forecast().is_some_and(|rate| rate > 5.0)).await;
    let status = running.get("/api/v1/health/database/status");
    let requests = status.split("\"requests\":").nth(1).and_then(|rest| rest.split(',').next()?.parse::<u64>().ok());
    assert!(requests.is_some_and(|requests| requests > 5), "{status}");
    load.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_visible_arrivals_there_is_no_forecast() {
    let postgres = postgres().await;
    let url = postgres.create_database("no_forecast").expect("created");
    let running = Running::start(&["serve", "--port", "0", "--watch", &url]);
    eventually("ready", || running.get("/readyz").contains("200 OK")).await;
    // The first forecast comes after a second.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let status = running.get("/api/v1/health/database/status");
    assert!(status.contains("\"forecast\":null") || !status.contains("\"forecast\""), "{status}");
    let metrics = running.get("/metrics");
    assert!(metrics.contains("db_client_connection_max{"), "{metrics}");
    assert!(!metrics.contains("\npoolgate_forecast_requests_per_second "), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_has_figures_once_the_source_has_been_read() {
    let pooler = pooler(postgres().await, "postgres", &["pool_mode=transaction", "default_pool_size=7"]).await;
    let url = format!("pgbouncer://stats@127.0.0.1:{}/postgres", pooler.port());
    let mut running = Running::spawn(poolgate(&["serve", "--port", "0", "--watch", &url]).stderr(Stdio::piped()));
    let log = running.child.stderr.take().expect("piped");
    let mut lines = BufReader::new(log).lines().map(|line| line.expect("text"));
    let mut line = |message: &str| lines.find(|line| line.contains(message)).expect("logged");
    let started = line("Poolgate started");
    assert!(!started.contains("capacity") && !started.contains("gate\":"), "unknown yet: {started}");
    let read = line("Watched source answers");
    assert!(read.contains("\"capacity\":7"), "{read}");
}

#[test]
fn an_unwatchable_url_stops_the_start_and_says_what_is_valid() {
    for (arguments, advice) in [
        (&["--watch", "postgres://stats:hunter2@pooler:6432/pgbouncer"][..], "pgbouncer://user@host:6432/DATABASE"),
        (&["--watch", "mysql://app:hunter2@db/shop"], "pgbouncer:// or postgres://"),
        (&["--watch", "pgbouncer://pooler/shop", "--demo"], "cannot be used with"),
        (&["--watch", "pgbouncer://pooler/shop", "--database-url", "sqlite::memory:"], "cannot be used with"),
    ] {
        let output = poolgate(arguments).output().expect("started");
        let message = String::from_utf8(output.stderr).expect("text");
        assert!(!output.status.success() && message.contains(advice), "{arguments:?}: {message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
    let printed = poolgate(&["--print-config", "--watch", "pgbouncer://stats:hunter2@pooler/shop"]).output();
    let printed = String::from_utf8(printed.expect("started").stdout).expect("text");
    assert!(printed.contains("[watch]") && printed.contains("pgbouncer://stats:********@pooler/shop"), "{printed}");
}
