//! An abort rejects at once, with the reason itself, wherever the call is.

use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;
use web_sys::AbortController;

use crate::support::*;

/// A reason like no other.
fn reason() -> JsValue {
    json(r#"{ "any": "object" }"#)
}

fn with_signal(signal: &JsValue) -> JsValue {
    let init = json("{}");
    set(&init, "signal", signal);
    init
}

#[wasm_bindgen_test]
async fn before() {
    let world = World::new();
    let client = client_with(&world, NORMAL, "{}", "{}").await;
    let (controller, reason) = (AbortController::new().expect("a controller"), reason());
    controller.abort_with_reason(&reason);
    let promise = client.fetch("/".into(), with_signal(&controller.signal()));
    assert_eq!(settled(promise).await, Err(reason.clone()));
    let init = web_sys::RequestInit::new();
    init.set_signal(Some(&controller.signal()));
    let request = web_sys::Request::new_with_str_and_init("/", &init).expect("a request");
    assert_eq!(settled(client.fetch(request.into(), JsValue::UNDEFINED)).await, Err(reason));
    assert_eq!((world.count(), load(&client)), (0, (0.0, 0.0)));
    client.close();
}

#[wasm_bindgen_test]
async fn while_it_waits() {
    let world = World::new();
    let client = client_with(&world, MODERATE, r#"{ "fair_rate_per_second": 0.2 }"#, "{}").await;
    let (controller, reason) = (AbortController::new().expect("a controller"), reason());
    let signal = counting_signal(&controller);
    let calls: Vec<_> = (0..5).map(|_| client.fetch("/".into(), with_signal(&signal))).collect();
    let (waiting, started) = load(&client);
    assert!(waiting >= 4.0);
    assert_eq!(get(&signal, "listeners").as_f64(), Some(waiting), "only what waits listens");
    controller.abort_with_reason(&reason);
    assert_eq!(load(&client), (0.0, started), "at once");
    assert_eq!(get(&signal, "listeners").as_f64(), Some(0.0));
    for call in calls.into_iter().skip(started as usize) {
        assert_eq!(settled(call).await, Err(reason.clone()));
    }
    assert_eq!(f64::from(world.count()), started, "none of them was sent");
    client.close();
}

#[wasm_bindgen_test]
async fn a_started_call_does_not_listen_any_more() {
    let world = World::new();
    let client = client_with(&world, MODERATE, r#"{ "fair_rate_per_second": 50 }"#, "{}").await;
    let signal = counting_signal(&AbortController::new().expect("a controller"));
    let calls: Vec<_> = (0..3).map(|_| client.fetch("/".into(), with_signal(&signal))).collect();
    until("all have started", || world.count() == 3).await;
    assert_eq!(get(&signal, "listeners").as_f64(), Some(0.0));
    (0..3).for_each(|i| world.answer(i, &response(200, "{}")));
    for call in calls {
        settled(call).await.expect("answered");
    }
    client.close();
}

#[wasm_bindgen_test]
async fn on_its_way() {
    let world = World::new();
    let client = client_with(&world, NORMAL, "{}", "{}").await;
    let (controller, reason) = (AbortController::new().expect("a controller"), reason());
    let promise = client.fetch("/".into(), with_signal(&controller.signal()));
    controller.abort_with_reason(&reason);
    // An old host makes an error of its own.
    world.fail(0, &js_sys::Error::new("AbortError").into());
    assert_eq!(settled(promise).await, Err(reason));
    assert_eq!(load(&client), (0.0, 0.0));
    client.close();
}

#[wasm_bindgen_test]
async fn on_its_way_with_the_browsers_own_fetch() {
    let options = json(r#"{ "transport": "poll", "autoCleanup": false }"#);
    let client = poolgate_client::Client::new(&options, World::new().shell()).expect("the options are fine");
    for reason in [reason(), JsValue::from_str("a string"), JsValue::from_f64(7.0)] {
        let controller = AbortController::new().expect("a controller");
        let promise = client.fetch("/".into(), with_signal(&controller.signal()));
        controller.abort_with_reason(&reason);
        assert_eq!(settled(promise).await, Err(reason));
        assert_eq!(load(&client), (0.0, 0.0));
    }
    client.close();
}
