//! The past, for those who look after it happened.

use std::time::Duration;

use axum::{Router, routing::get};
use http::StatusCode;
use poolgate_types::{History, HistoryEventKind, Level, routes};

use poolgate_test_harness::{Server, server_with};

async fn history(server: &Server, query: &str) -> History {
    let answer = server.get(&format!("{}{query}", routes::HISTORY)).await;
    assert_eq!((answer.status, answer.header("cache-control")), (StatusCode::OK, "no-store"), "{}", answer.body);
    serde_json::from_str(&answer.body).expect("the document")
}

#[tokio::test]
async fn a_reader_who_comes_later_sees_what_was() {
    let server = server_with(
        |_| {},
        |pool, poolgate| {
            let pool = pool.clone();
            let work = async move || {
                let _lease = pool.acquire().await.expect("a connection");
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            let fails = async || StatusCode::INTERNAL_SERVER_ERROR;
            Router::new().route("/work", get(work)).route("/fails", get(fails)).layer(poolgate.gate())
        },
    )
    .await;
    for _ in 0..80 {
        assert_eq!(server.get("/work").await.status, StatusCode::OK);
    }
    server.get("/fails").await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;

    let past = history(&server, "").await;
    assert_eq!(past.step_seconds, 1);
    let seconds = past.samples.len();
    assert!((2..30).contains(&seconds), "{seconds} samples");
    let total = |rate: fn(&poolgate_types::HistorySample) -> Option<f64>| -> f64 {
        past.samples.iter().map(|sample| rate(sample).expect("there is a gate")).sum()
    };
    // The seconds are not exactly those of the rates.
    assert!((70.0..95.0).contains(&total(|sample| sample.admitted_per_second)), "{past:#?}");
    assert!((0.5..1.5).contains(&total(|sample| sample.failed_per_second)), "{past:#?}");
    assert!(past.samples.iter().any(|sample| sample.checked_out == 1 && sample.capacity == 3), "{past:#?}");
    assert!(past.samples.iter().all(|sample| sample.throttling_level == Level::Normal));
    assert!(past.samples.is_sorted_by(|one, next| one.at < next.at), "oldest first");
    assert_eq!(past.events[0].kind, HistoryEventKind::Started);

    assert!(history(&server, "?seconds=1").await.samples.len() <= 3);
    let hours = history(&server, "?seconds=21600").await;
    assert_eq!((hours.step_seconds, hours.samples.len()), (30, 1), "the first half minute has begun");
    for query in ["?seconds=0", "?seconds=21601", "?seconds=-5", "?seconds=all"] {
        let answer = server.get(&format!("{}{query}", routes::HISTORY)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert_eq!(answer.problem().code, "invalid_span");
    }
}
