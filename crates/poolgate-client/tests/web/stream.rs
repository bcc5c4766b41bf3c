//! The event stream, with a source that the test speaks through.

use js_sys::Array;
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;

use crate::support::*;

/// A streaming client and the sources it opens. Tests run one after another, so they may replace the page's own.
fn streaming(world: &World) -> (poolgate_client::Client, Array) {
    world.set_config(&json(NORMAL));
    let opened = fake_event_source();
    (client(world, r#"{ "transport": "auto", "shareAcrossTabs": false }"#), opened)
}

fn is_closed(source: &JsValue) -> bool {
    get(source, "closed").is_truthy()
}

#[wasm_bindgen_test]
async fn a_config_is_in_force_as_soon_as_it_is_pushed() {
    let world = World::new();
    let (client, opened) = streaming(&world);
    assert_eq!(opened.length(), 1);
    let url = text(&opened.get(0), "url");
    let id = url.split_once("/api/v1/health/database/events?client=").expect("the route").1;
    assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");

    speak(&opened.get(0), "config", Some(MODERATE));
    let state = client.state();
    assert_eq!((text(&state, "level").as_str(), text(&state, "transport").as_str()), ("MODERATE", "sse"));
    speak(&opened.get(0), "heartbeat", Some(r#"{ "epoch": 1763880000000, "version": 42 }"#));
    for nonsense in ["", "not json", "[]", MALFORMED, r#"{ "epoch": "x" }"#] {
        speak(&opened.get(0), "config", Some(nonsense));
        speak(&opened.get(0), "heartbeat", Some(nonsense));
    }
    assert_eq!(text(&client.state(), "level"), "MODERATE");
    assert_eq!((world.asked(), is_closed(&opened.get(0))), (0, false), "nobody has to ask");
    assert_eq!(world.details("syncchange"), r#"[{"stale":false,"transport":"sse"}]"#);
    client.close();
    assert!(is_closed(&opened.get(0)));
}

#[wasm_bindgen_test]
async fn a_heartbeat_with_another_version_is_a_reason_to_reconnect_or_ask() {
    let world = World::new();
    let (client, opened) = streaming(&world);
    speak(&opened.get(0), "config", Some(NORMAL));
    world.set_config(&json(MODERATE));
    speak(&opened.get(0), "heartbeat", Some(r#"{ "epoch": 1763880000000, "version": 42 }"#));
    until("the newer config", || text(&client.state(), "level") == "MODERATE").await;
    client.close();
}

#[wasm_bindgen_test]
async fn a_broken_stream_is_replaced_by_asking_and_tried_again() {
    let world = World::new();
    let (client, opened) = streaming(&world);
    speak(&opened.get(0), "error", None);
    assert!(is_closed(&opened.get(0)), "the browser's own retries have no jitter");
    until("it asks", || world.asked() == 1).await;
    until("the answer", || text(&client.state(), "transport") == "poll").await;
    until("another try", || opened.length() == 2).await;
    speak(&opened.get(1), "config", Some(MODERATE));
    assert_eq!(text(&client.state(), "transport"), "sse");
    client.close();
}

#[wasm_bindgen_test]
async fn after_a_goodbye_it_comes_back_later() {
    let world = World::new();
    let (client, opened) = streaming(&world);
    speak(&opened.get(0), "config", Some(NORMAL));
    speak(&opened.get(0), "bye", Some("{}"));
    assert!(is_closed(&opened.get(0)));
    sleep(400).await;
    assert_eq!((opened.length(), world.asked()), (1, 0), "not all at the same moment");
    client.close();
    sleep(3000).await;
    assert_eq!(opened.length(), 1, "a closed client opens nothing");
}
