//! The five commands from the original system's runbook.

use anyhow::{Context, Result};
use http::{Method, StatusCode};
use poolgate_types::{CleanupReport, CleanupTrigger, Health, Level, Ping, codes, routes};

use crate::{on_both, share};

#[tokio::test]
async fn the_runbooks_commands_answer() -> Result<()> {
    let _machine = share().await;
    on_both(async |server, backend| {
        let answer = server.get(routes::PING).await?;
        let ping: Ping = answer.json()?;
        assert_eq!((answer.status, &*ping.status, &*ping.service), (StatusCode::OK, "pass", "poolgate"));

        let answer = server.get(routes::STATUS).await?;
        assert_eq!(answer.status, StatusCode::OK);
        let status = server.status().await?;
        assert_eq!((status.health, status.throttling_level), (Health::Healthy, Level::Normal));
        let pool = &status.pool;
        assert_eq!((pool.backend, pool.pool_size, pool.max_overflow, pool.capacity), (backend, 20, 10, 30));
        assert_eq!(status.gate.map(|gate| gate.max_concurrent_requests), Some(25));

        let answer = server.get(routes::THROTTLING_CONFIG).await?;
        let config = server.config().await?;
        assert_eq!(config.throttling_level, Level::Normal);
        let six = config.six_fields();
        assert_eq!((six.concurrency, six.per_minute, six.delay_ms), (10, 100, 100));
        assert!(!config.circuit_breaker_open && !config.emergency_mode_active && !config.enforced);
        let etag = answer.header("etag").context("an ETag")?;
        assert_eq!(etag, format!("\"{}\"", config.etag()));
        assert!(answer.header("cache-control").is_some_and(|value| value.contains("max-age=1")));
        let headers = [("if-none-match", etag)];
        let again = server.client().send(Method::GET, routes::THROTTLING_CONFIG, &headers, "").await?;
        assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));

        let answer = server.get(routes::CONNECTION_TEST).await?;
        let test: serde_json::Value = answer.json()?;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!((test["ok"].as_bool(), test["backend"].as_str()), (Some(true), Some(backend.as_str())));
        assert!(test["latency_ms"].is_number() && test["server_version"].is_string(), "{test}");

        let cleanup = async || server.client().send(Method::POST, routes::FORCE_CLEANUP, &[], "").await;
        let answer = cleanup().await?;
        assert_eq!(answer.status, StatusCode::OK);
        let report: CleanupReport = answer.json()?;
        assert_eq!((report.trigger, report.freed), (CleanupTrigger::Manual, 0));
        let answer = cleanup().await?;
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.problem()?.code, codes::CLEANUP_COOLDOWN);
        assert!(answer.header("retry-after").context("Retry-After")?.parse::<u32>()? >= 1);
        let answer = server.get(routes::FORCE_CLEANUP).await?;
        assert_eq!((answer.status, answer.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, Some("POST")));
        answer.problem()?;
        Ok(())
    })
    .await
}
