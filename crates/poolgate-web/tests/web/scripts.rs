//! The client and the page's JavaScript: installed, adopted, as a source.

use std::{cell::Cell, rc::Rc, time::Duration};

use gloo_net::http::Request;
use js_sys::{Array, Reflect};
use poolgate_web::{Ask, Client, Error, Level, NotAClient, Priority, Transport};
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;
use web_sys::EventTarget;

use crate::support::{
    NORMAL, OPEN, World, address, changed, client_with, one_at_a_time, poolgate_error, script_client, until,
};

#[wasm_bindgen_test]
async fn an_installed_client_throttles_what_others_send() {
    let world = World::new();
    let client = client_with(&world, &one_at_a_time()).await;
    client.install();
    let _ticket = client.admit(Ask::default()).await.expect("nothing is in flight");
    // gloo-net's own way.
    let sent = Request::get(&address(&world, "/others")).send();
    let answers = async {
        until("it waits", || client.state().queued == 1).await;
        assert_eq!(world.count(), 0);
        drop(_ticket);
        until("it is sent", || world.count() == 1).await;
        world.answer(0, 200, "{}", "through");
    };
    let (answer, ()) = futures_util::future::join(sent, answers).await;
    assert_eq!(answer.expect("an answer").text().await.expect("a text"), "through");

    // Another client takes its place; the first ends.
    let closed = World::new();
    let open = client_with(&closed, OPEN).await;
    open.install();
    drop(client);
    let answer = Request::get(&address(&closed, "/")).send().await.expect("a synthetic answer");
    assert_eq!((answer.status(), answer.url()), (503, address(&closed, "/")));
    assert!(
        answer.headers().get("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok_and(|wait| wait >= 1))
    );
    assert_eq!(answer.headers().get("content-type").as_deref(), Some("application/problem+json"));
    let problem: serde_json::Value = serde_json::from_str(&answer.text().await.expect("a text")).expect("JSON");
    assert_eq!(problem["code"], "database_unavailable");
    assert_eq!(closed.count(), 0);
    open.close();
    let _passes = wasm_bindgen_futures::JsFuture::from(fetch(&address(&closed, "/later")));
    until("it passes", || closed.count() == 1).await;
}

#[wasm_bindgen]
extern "C" {
    fn fetch(address: &str) -> js_sys::Promise;
}

#[wasm_bindgen_test]
async fn an_adopted_client_does_the_work() {
    let script = script_client();
    let client = Client::adopt(&script).expect("it has all members");
    let state = client.state();
    assert_eq!((state.level, state.queued, state.transport), (Level::Moderate, 4, Transport::Shared));
    assert_eq!((state.oldest_wait, state.rate_per_second), (Duration::from_micros(12_500), Some(2.5)));

    let ask = Ask { priority: Priority::Critical, queue_timeout: Some(Duration::from_secs(3)), ..Ask::default() };
    let answer = client.fetch_with(ask, "/orders").await.expect("an answer");
    assert_eq!(answer.text().await.expect("a text"), "adopted");
    let call = Array::from(&member(&script, "calls")).get(0);
    assert_eq!(member(&call, "priority").as_string().as_deref(), Some("critical"));
    assert_eq!(member(&call, "queueTimeoutMs").as_f64(), Some(3000.0));

    set(&script, "rejection", &poolgate_error("circuit_open", 1500.0));
    let error = client.fetch("/orders").await.expect_err("it rejects");
    assert_eq!(error, Error::CircuitOpen { retry_after: Some(Duration::from_millis(1500)) });
    set(&script, "rejection", &"a text".into());
    assert_eq!(client.fetch("/orders").await.expect_err("it rejects"), Error::Network { message: "a text".into() });
    assert!(matches!(client.admit(Ask::default()).await, Err(Error::Unsupported { .. })));

    let heard = Rc::new(Cell::new(0));
    let mut changes = client.changes();
    wasm_bindgen_futures::spawn_local({
        let heard = Rc::clone(&heard);
        async move {
            while futures_util::StreamExt::next(&mut changes).await.is_some() {
                heard.set(heard.get() + 1);
            }
            heard.set(100);
        }
    });
    until("the present state", || heard.get() == 1).await;
    crate::support::speak(&script, "queuechange", None);
    until("a change", || heard.get() == 2).await;
    assert_eq!(client.to_js(), script);
    client.close();
    until("the end", || heard.get() == 100).await;
    assert_eq!(member(&script, "closed"), JsValue::TRUE);
}

#[wasm_bindgen_test]
fn what_is_no_client_is_not_adopted() {
    for value in [JsValue::UNDEFINED, JsValue::NULL, "client".into(), js_sys::Object::new().into()] {
        assert_eq!(Client::adopt(&value).err(), Some(NotAClient), "{value:?}");
    }
}

#[wasm_bindgen_test]
async fn a_script_sees_state_and_events() {
    let world = World::new();
    let client = client_with(&world, NORMAL).await;
    let source = client.to_js();
    assert_eq!(member(&member(&source, "state"), "level").as_string().as_deref(), Some("NORMAL"));
    assert_eq!(member(&member(&source, "state"), "etaMs").as_f64(), None);
    let heard = Rc::new(Cell::new(false));
    let listener = Closure::<dyn FnMut(web_sys::CustomEvent)>::new({
        let heard = Rc::clone(&heard);
        move |event: web_sys::CustomEvent| {
            let detail = event.detail();
            heard.set(member(&detail, "to").as_string().as_deref() == Some("EMERGENCY"));
        }
    });
    let target: &EventTarget = source.unchecked_ref();
    target.add_event_listener_with_callback("levelchange", listener.as_ref().unchecked_ref()).expect("a listener");
    world.set_config(&changed(OPEN, r#"{ "version": 5000 }"#));
    client.refresh().await.expect("a config");
    until("an event", || heard.get()).await;
    assert_eq!(member(&member(&member(&source, "state"), "config"), "version").as_f64(), Some(5000.0));
}

fn member(value: &JsValue, name: &str) -> JsValue {
    Reflect::get(value, &name.into()).expect("an object")
}

fn set(value: &JsValue, name: &str, member: &JsValue) {
    Reflect::set(value, &name.into(), member).expect("an object");
}
