//! Calls that the client answers itself.

use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;

use crate::support::*;

/// Name, code, and whether the guard knows it.
fn kind(error: &JsValue) -> (String, String, bool) {
    (text(error, "name"), text(error, "code"), is_poolgate_error(error))
}

fn expected(name: &str, code: &str) -> (String, String, bool) {
    (name.to_owned(), code.to_owned(), true)
}

#[wasm_bindgen_test]
async fn an_open_breaker_rejects() {
    let world = World::new();
    let client = client_with(&world, OPEN, "{}", "{}").await;
    assert_eq!(text(&client.state(), "breaker"), "open");
    let error = settled(fetch(&client, "/", "")).await.expect_err("rejected");
    assert_eq!(kind(&error), expected("CircuitOpenError", "circuit_open"));
    assert!(get(&error, "retryAfterMs").as_f64().is_some_and(|ms| ms > 0.0));
    assert_eq!(world.count(), 0);
    assert_eq!(world.details("breakerchange"), r#"[{"from":"closed","to":"open"}]"#);
    client.close();
}

#[wasm_bindgen_test]
async fn an_open_breaker_answers_where_the_app_wants_it() {
    let world = World::new();
    let client = client_with(&world, OPEN, "{}", r#"{ "onOpen": "respond" }"#).await;
    let answer: web_sys::Response = settled(fetch(&client, "/", "")).await.expect("answered").unchecked_into();
    assert_eq!((answer.status(), world.count()), (503, 0));
    let seconds = answer.headers().get("retry-after").ok().flatten().and_then(|text| text.parse::<u32>().ok());
    assert!(seconds.is_some_and(|seconds| seconds >= 1));
    let problem = settled(answer.json().expect("a body")).await.expect("JSON");
    assert_eq!(text(&problem, "code"), "database_unavailable");
    client.close();
}

#[wasm_bindgen_test]
async fn a_full_queue_and_a_long_wait_reject() {
    let world = World::new();
    let changes = r#"{ "fair_rate_per_second": 0.2 }"#;
    let client = client_with(&world, MODERATE, changes, r#"{ "maxQueue": 2, "queueTimeoutMs": 120 }"#).await;
    let mut calls: Vec<_> = (0..4).map(|_| fetch(&client, "/", "")).collect();
    assert_eq!(load(&client).0, 2.0);
    let full = settled(calls.pop().expect("four calls")).await.expect_err("rejected");
    assert_eq!(kind(&full), expected("QueueFullError", "queue_full"));

    // The first may have started; the second waits in any case.
    let late = settled(calls.swap_remove(1)).await.expect_err("rejected");
    assert_eq!(kind(&late), expected("QueueTimeoutError", "queue_timeout"));
    until("the others have waited too long as well", || load(&client).0 == 0.0).await;

    let init = r#"{ "poolgate": { "queueTimeoutMs": 20 } }"#;
    let own = settled(fetch(&client, "/", init)).await.expect_err("rejected");
    assert_eq!(text(&own, "code"), "queue_timeout");
    client.close();
}

#[wasm_bindgen_test]
async fn closing_rejects_what_waits_and_lets_the_rest_pass() {
    let world = World::new();
    let client = client_with(&world, MODERATE, r#"{ "fair_rate_per_second": 0.2 }"#, "{}").await;
    let calls: Vec<_> = (0..4).map(|_| fetch(&client, "/", "")).collect();
    let (waiting, flying) = load(&client);
    client.close();
    client.close();
    for call in calls.into_iter().skip(flying as usize) {
        let error = settled(call).await.expect_err("rejected");
        assert_eq!(kind(&error), expected("ClientClosedError", "client_closed"));
    }
    assert!(waiting >= 3.0);
    let (before, asked) = (world.count(), world.asked());
    let calls: Vec<_> = (0..5).map(|_| fetch(&client, "/", "")).collect();
    assert_eq!(world.count(), before + 5);
    (before..before + 5).for_each(|i| world.answer(i, &response(200, "{}")));
    for call in calls {
        settled(call).await.expect("answered");
    }
    sleep(50).await;
    assert_eq!((world.asked(), text(&client.state(), "transport").as_str()), (asked, "none"));
}

#[wasm_bindgen_test]
async fn wrong_arguments_are_the_platforms_type_error_and_no_evidence() {
    let world = World::new();
    let client = client_with(&world, NORMAL, "{}", "{}").await;
    let wrong: JsValue = js_sys::TypeError::new("Request with GET/HEAD method cannot have body").into();
    for _ in 0..12 {
        let promise = fetch(&client, "/", r#"{ "method": "GET", "body": "x" }"#);
        world.fail(world.count() - 1, &wrong);
        assert_eq!(settled(promise).await, Err(wrong.clone()));
        sleep(130).await;
    }
    assert_eq!(text(&client.state(), "breaker"), "closed", "the server was not even asked");
    client.close();
}

#[wasm_bindgen_test]
async fn no_contact_opens_the_breaker_by_local_evidence() {
    let world = World::new();
    let client = client_with(&world, NORMAL, "{}", "{}").await;
    let failed: JsValue = js_sys::TypeError::new("Failed to fetch").into();
    for _ in 0..12 {
        let before = world.count();
        let promise = fetch(&client, "/", "");
        if world.count() == before {
            let error = settled(promise).await.expect_err("held back");
            assert_eq!(text(&error, "code"), "circuit_open");
            client.close();
            return;
        }
        world.fail(before, &failed);
        assert_eq!(settled(promise).await, Err(failed.clone()));
        sleep(130).await;
    }
    panic!("twelve failures in more than a second, and the breaker is still closed");
}
