//! How configs arrive: by polling, with a header, over the event stream.

use futures_util::StreamExt;
use js_sys::Reflect;
use poolgate_web::{CircuitState, Client, Level, Mode, Transport};
use wasm_bindgen::JsValue;
use wasm_bindgen_test::wasm_bindgen_test;

use crate::support::{
    NORMAL, OPEN, World, begin, changed, client_with, fake_event_source, restore_event_source, sleep, speak, until,
};

#[wasm_bindgen_test]
async fn a_client_polls_by_itself_as_often_as_the_server_wants() {
    let world = World::new();
    world.set_config(&changed(NORMAL, r#"{ "poll_after_seconds": 1 }"#));
    let client = Client::builder(world.base()).build().expect("an address");
    until("it has asked", || client.state().config.is_some()).await;
    assert_eq!(client.state().transport, Transport::Poll);
    until("it asks again", || world.asked() >= 2).await;
    client.close();
    let asked = world.asked();
    sleep(1500).await;
    assert_eq!(world.asked(), asked, "a closed client asks no more");
}

#[wasm_bindgen_test]
async fn a_server_without_the_route_is_asked_once() {
    let world = World::new();
    let client = Client::builder(world.base()).build().expect("an address");
    until("it has asked", || world.asked() == 1).await;
    sleep(1500).await;
    assert_eq!((world.asked(), client.state().transport), (1, Transport::None));
    let _request = begin(&client, &world, "/");
    assert_eq!(world.count(), 1);
}

#[wasm_bindgen_test]
async fn a_header_brings_limits_at_once_and_the_document_soon() {
    let world = World::new();
    let client = client_with(&world, NORMAL).await;
    let at = client.state().config.expect("a config");
    let (epoch, version) = (at.epoch, at.version + 1);
    let request = begin(&client, &world, "/");
    let header = format!(
        r#"{{ "poolgate-config": "e={epoch}, v={version}, level=AGGRESSIVE, interval=500, concurrency=2, open=?0" }}"#
    );
    world.set_config(&changed(
        NORMAL,
        &format!(r#"{{ "version": {version}, "throttling_level": "AGGRESSIVE", "enforced": true, "fair_rate_per_second": 2 }}"#),
    ));
    world.answer(0, 200, &header, "");
    request.await.expect("an answer");
    let state = client.state();
    assert_eq!((state.level, state.rate_per_second), (Level::Aggressive, Some(2.0)));
    assert_eq!(state.config.map(|config| config.version), Some(version - 1), "the document is older");
    until("the document follows", || client.state().config.is_some_and(|config| config.version == version)).await;
}

#[wasm_bindgen_test]
async fn watchers_hear_of_level_breaker_and_queue() {
    let world = World::new();
    let client = client_with(&world, NORMAL).await;
    let mut changes = client.changes();
    assert_eq!(changes.next().await.expect("the present state").breaker, CircuitState::Closed);
    world.set_config(&changed(OPEN, r#"{ "version": 5000 }"#));
    client.refresh().await.expect("a config");
    let open = loop {
        let state = changes.next().await.expect("it is open");
        if state.breaker == CircuitState::Open {
            break state;
        }
    };
    assert_eq!(open.level, Level::Emergency);
    client.close();
    while changes.next().await.is_some() {}
}

#[wasm_bindgen_test]
async fn an_event_stream_brings_configs_until_it_breaks() {
    let opened = fake_event_source();
    let world = World::new();
    let client = Client::builder(world.base()).transport(Mode::Auto).build().expect("an address");
    until("a stream is opened", || opened.length() == 1).await;
    let stream = opened.get(0);
    let member = |name: &str| Reflect::get(&stream, &name.into()).expect("an object");
    let url = member("url").as_string().expect("a text");
    assert!(url.starts_with(&format!("{}/api/v1/health/database/events?client=", world.base())), "{url}");
    assert_eq!(world.asked(), 0, "the stream is enough");

    speak(&stream, "config", Some("{"));
    speak(&stream, "config", Some(&changed(NORMAL, r#"{ "version": 7 }"#)));
    let state = client.state();
    assert_eq!((state.transport, state.config.map(|config| config.version)), (Transport::Sse, Some(7)));
    speak(&stream, "heartbeat", Some("{"));
    speak(&stream, "heartbeat", Some(r#"{ "epoch": 1763880000000, "version": 7, "return_within_ms": 0 }"#));

    world.set_config(&changed(NORMAL, r#"{ "version": 8 }"#));
    speak(&stream, "error", None);
    assert_eq!(member("closed"), JsValue::TRUE, "the browser must not reconnect by itself");
    until("it asks meanwhile", || client.state().config.is_some_and(|config| config.version == 8)).await;
    until("another stream is opened", || opened.length() == 2).await;
    speak(&opened.get(1), "bye", Some(r#"{ "return_within_ms": 0 }"#));
    until("it comes back", || opened.length() == 3).await;
    client.close();
    until("it is closed", || {
        Reflect::get(&opened.get(2), &"closed".into()).is_ok_and(|closed| closed == JsValue::TRUE)
    })
    .await;
    restore_event_source();
}
