//! The tables of cases that the npm package is held against as well.

use poolgate_web::{Ask, Client, Error, Level, ThrottlingConfig};
use serde_json::Value;
use wasm_bindgen_test::wasm_bindgen_test;

use crate::support::{NORMAL, OPEN, World, begin, changed, client_with, sleep, until};

const REJECTIONS: &str = include_str!("../../../../tests/fixtures/rejections.json");
/// Config documents of all kinds.
const CONFIGS: [&str; 6] = [
    NORMAL,
    OPEN,
    include_str!("../../../../tests/fixtures/config-moderate.json"),
    include_str!("../../../../tests/fixtures/config-half-open.json"),
    include_str!("../../../../tests/fixtures/config-fixed-aggressive.json"),
    include_str!("../../../../tests/fixtures/config-unknown-words.json"),
];
/// Members of a config that no server sends.
const WRONG: [&str; 14] = [
    r#"{ "throttling_level": 3 }"#,
    r#"{ "max_concurrent_requests": "ten" }"#,
    r#"{ "max_concurrent_requests": -1 }"#,
    r#"{ "max_concurrent_requests": 1.5 }"#,
    r#"{ "max_concurrent_requests": null }"#,
    r#"{ "max_concurrent_requests": 4294967296 }"#,
    r#"{ "circuit_breaker_open": 1 }"#,
    r#"{ "epoch": -1 }"#,
    r#"{ "epoch": true }"#,
    r#"{ "version": "7" }"#,
    r#"{ "health": 3 }"#,
    r#"{ "fair_rate_per_second": "8" }"#,
    r#"{ "poll_after_seconds": {} }"#,
    r#"{ "reason": null }"#,
];
const HEADERS: &str = include_str!("../../../../tests/fixtures/headers.json");

/// The gate's rejection pauses the client, and another one does not.
#[wasm_bindgen_test]
async fn the_gates_rejections_are_told_from_those_of_others() {
    let table: Value = serde_json::from_str(REJECTIONS).expect("JSON");
    for case in table.as_array().expect("a list") {
        let world = World::new();
        let client = client_with(&world, &changed(NORMAL, r#"{ "epoch": 5, "version": 7 }"#)).await;
        let request = begin(&client, &world, "/");
        let body = case["body"].as_str().map_or_else(|| case["body"].to_string(), str::to_owned);
        let status = case["status"].as_u64().expect("a status") as u16;
        world.answer(0, status, &case["headers"].to_string(), &body);
        let answer = request.await.expect("an answer");
        assert_eq!((answer.status(), answer.text().await.ok()), (status, Some(body)), "the app has it untouched");
        // The copy of the body is read in the background.
        sleep(20).await;
        let waits = client.admit(Ask::default());
        assert_eq!(Some(client.state().queued == 1), case["by_the_gate"].as_bool(), "{}", case["name"]);
        drop(waits);
    }
}

#[wasm_bindgen_test]
async fn headers_mean_the_same() {
    let table: Value = serde_json::from_str(HEADERS).expect("JSON");
    let world = World::new();
    let client = client_with(&world, &changed(NORMAL, r#"{ "version": 1 }"#)).await;
    let mut sent = 0;
    let mut answer = async |header: &str| {
        // An open breaker rejects other requests than those that bypass.
        let ask = Ask { bypass: true, ..Ask::default() };
        let request = client.fetch_with(ask, crate::support::address(&world, "/"));
        let answers = async {
            until("it is sent", || world.count() > sent).await;
            world.answer(sent, 200, &serde_json::json!({ "poolgate-config": header }).to_string(), "");
        };
        futures_util::future::join(request, answers).await.0.expect("an answer");
        sent += 1;
    };
    for header in table["malformed"].as_array().expect("a list") {
        answer(header.as_str().expect("a text")).await;
        assert_eq!(client.state().level, Level::Normal, "{header}");
    }
    for case in table["valid"].as_array().expect("a list") {
        answer(case["header"].as_str().expect("a text")).await;
        let state = client.state();
        assert_eq!(Some(state.level.as_str()), case["level"].as_str(), "{case}");
        assert_eq!(state.breaker != poolgate_web::CircuitState::Closed, case["open"] == true, "{case}");
        let rate = case["interval_ms"].as_f64().map(|interval| 1000.0 / interval);
        assert_eq!(state.rate_per_second, rate, "{case}");
    }
}

/// The browser's parser gives what serde_json gives, and what one rejects the other rejects.
#[wasm_bindgen_test]
async fn documents_mean_the_same() {
    for text in CONFIGS {
        let world = World::new();
        let client = client_with(&world, text).await;
        let read: ThrottlingConfig = serde_json::from_str(text).expect("a config");
        assert_eq!(client.state().config, Some(read));
    }
    let without = |member: &str| {
        let mut config: Value = serde_json::from_str(NORMAL).expect("JSON");
        config.as_object_mut().expect("an object").remove(member).expect("a member");
        config.to_string()
    };
    let wrong = WRONG.into_iter().map(|changes| changed(NORMAL, changes));
    let wrong =
        wrong.chain(["version", "reason", "enforced"].map(without)).chain(["[]", "null", "\"text\""].map(String::from));
    for text in wrong {
        assert!(serde_json::from_str::<ThrottlingConfig>(&text).is_err(), "{text}");
        let world = World::new();
        world.set_config(&text);
        let client = Client::builder(world.base()).build().expect("an address");
        let refused = client.refresh().await;
        assert!(matches!(refused, Err(Error::NoConfig { .. })), "{text}: {refused:?}");
        assert_eq!(client.state().config, None, "{text}");
    }
}
