//! What responses and the config route say.

use js_sys::Array;
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;

use crate::support::*;

/// Sends a request and answers it.
async fn exchange(world: &World, client: &poolgate_client::Client, status: u16, headers: &str) -> JsValue {
    let promise = fetch(client, "/", r#"{ "poolgate": { "priority": "critical" } }"#);
    let index = world.count();
    until("it starts", || world.count() > index || world.count() == index && load(client).0 == 0.0).await;
    world.answer(world.count() - 1, &response(status, headers));
    settled(promise).await.expect("answered")
}

/// A rejection with a body, from behind the gate or the gate itself.
async fn exchange_problem(world: &World, client: &poolgate_client::Client, status: u16, body: &str) -> JsValue {
    let headers = r#"{ "retry-after": "1", "content-type": "application/problem+json",
        "poolgate-config": "e=1763880000000, v=41, level=NORMAL, concurrency=10, open=?0" }"#;
    let promise = fetch(client, "/", "");
    world.answer(world.count() - 1, &response_with(body, status, headers));
    settled(promise).await.expect("answered")
}

fn header(text: &str) -> String {
    let headers = js_sys::Object::new();
    set(&headers, "poolgate-config", &text.into());
    js_sys::JSON::stringify(&headers).expect("JSON").into()
}

#[wasm_bindgen_test]
async fn the_header_of_any_response_is_news() {
    let world = World::new();
    let client = client_with(&world, NORMAL, "{}", "{}").await;
    exchange(
        &world,
        &client,
        200,
        &header("e=1763880000000, v=42, level=MODERATE, interval=20, concurrency=5, open=?0"),
    )
    .await;
    let state = client.state();
    assert_eq!((text(&state, "level").as_str(), get(&state, "ratePerSecond").as_f64()), ("MODERATE", Some(50.0)));
    assert_eq!(world.details("levelchange"), r#"[{"from":"NORMAL","to":"MODERATE"}]"#);

    // The document behind it is asked for soon, the client being without a stream.
    world.set_config(&merged(MODERATE, r#"{ "fair_rate_per_second": 50 }"#));
    until("the document", || get(&get(&client.state(), "config"), "version").as_f64() == Some(42.0)).await;
    client.close();
}

#[wasm_bindgen_test]
async fn golden_headers_are_understood() {
    for case in Array::from(&get(&json(HEADERS), "valid")).iter() {
        let world = World::new();
        let client = client_with(&world, NORMAL, r#"{ "version": 1 }"#, "{}").await;
        exchange(&world, &client, 200, &header(&text(&case, "header"))).await;
        assert_eq!(text(&client.state(), "level"), text(&case, "level"));
        client.close();
    }
}

#[wasm_bindgen_test]
async fn malformed_older_and_cached_headers_are_ignored() {
    let world = World::new();
    let client = client_with(&world, NORMAL, "{}", "{}").await;
    for case in Array::from(&get(&json(HEADERS), "malformed")).iter() {
        exchange(&world, &client, 200, &header(&case.as_string().unwrap_or_default())).await;
    }
    exchange(&world, &client, 200, &header("e=1763880000000, v=1, level=EMERGENCY, concurrency=1, open=?1")).await;
    let cached = r#"{ "age": "3",
        "poolgate-config": "e=1763880000000, v=99, level=EMERGENCY, concurrency=1, open=?1" }"#;
    exchange(&world, &client, 200, cached).await;
    let state = client.state();
    assert_eq!((text(&state, "level").as_str(), text(&state, "breaker").as_str()), ("NORMAL", "closed"));
    assert_eq!(world.details("levelchange"), "[]");
    client.close();
}

#[wasm_bindgen_test]
async fn a_gate_rejection_pauses_what_comes_after() {
    let world = World::new();
    let client = client_with(&world, NORMAL, "{}", "{}").await;
    let answer: web_sys::Response =
        exchange_problem(&world, &client, 503, r#"{ "code": "database_unavailable" }"#).await.unchecked_into();
    until("the pause is on", || get(&get(&client.state(), "etaMs"), "earliest").as_f64() > Some(500.0)).await;
    assert_eq!((answer.status(), answer.body_used()), (503, false), "the app sees the gate's own answer");
    drop(fetch(&client, "/", ""));
    assert_eq!(load(&client), (1.0, 0.0));
    until("the pause ends", || load(&client) == (0.0, 1.0)).await;
    client.close();
}

#[wasm_bindgen_test]
async fn a_handler_behind_the_gate_pauses_nothing() {
    let world = World::new();
    let client = client_with(&world, NORMAL, "{}", "{}").await;
    for problem in [r#"{ "code": "too_many_sign_ins" }"#, "{}", "no JSON"] {
        exchange_problem(&world, &client, 429, problem).await;
        sleep(20).await;
        let before = world.count();
        drop(fetch(&client, "/", ""));
        assert_eq!(world.count(), before + 1, "{problem}");
    }
    client.close();
}

#[wasm_bindgen_test]
async fn a_foreign_503_pauses_nothing() {
    let world = World::new();
    let client = client_with(&world, NORMAL, "{}", "{}").await;
    exchange(&world, &client, 503, r#"{ "retry-after": "60" }"#).await;
    drop(fetch(&client, "/", ""));
    assert_eq!(load(&client), (0.0, 1.0));
    client.close();
}

#[wasm_bindgen_test]
async fn a_response_of_any_class_is_handed_on() {
    let world = World::new();
    let client = client_with(&world, NORMAL, "{}", "{}").await;
    let odd = [json("{}"), json(r#"{ "status": "x", "headers": {} }"#), JsValue::NULL, "text".into(), odd_rejection()];
    for answer in odd {
        let promise = fetch(&client, "/", "");
        world.answer(world.count() - 1, &answer);
        assert_eq!(settled(promise).await, Ok(answer));
    }
    assert_eq!(load(&client), (0.0, 0.0));
    client.close();
}

#[wasm_bindgen_test]
async fn a_malformed_config_is_ignored() {
    let world = World::new();
    let client = client_with(&world, MODERATE, "{}", "{}").await;
    for config in [json(MALFORMED), merged(NORMAL, r#"{ "version": 99, "health": 3 }"#), json("[]"), JsValue::NULL] {
        world.set_config(&config);
        let error = settled(client.refresh()).await.expect_err("no config");
        assert_eq!(text(&error, "code"), "config_unavailable");
        assert_eq!(text(&client.state(), "level"), "MODERATE", "the last good one is kept");
    }
    assert_eq!(Array::from(&json(&world.details("config"))).length(), 1);
    client.close();
}
