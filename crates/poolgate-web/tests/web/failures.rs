//! Requests without an answer: aborted, rejected with any value, and wrong ones.

use gloo_net::http::Request;
use poolgate_web::{Client, Error};
use wasm_bindgen::JsValue;
use wasm_bindgen_test::wasm_bindgen_test;
use web_sys::AbortController;

use crate::support::{NORMAL, OPEN, World, address, begin, begun, client_with, load, one_at_a_time};

#[wasm_bindgen_test]
async fn an_app_aborts_with_any_reason() {
    let world = World::new();
    let client = client_with(&world, &one_at_a_time()).await;
    let controllers: Vec<_> = (0..3).map(|_| AbortController::new().expect("a browser has it")).collect();
    let send = |index: usize| {
        let request = Request::get(&address(&world, "/")).abort_signal(Some(&controllers[index].signal()));
        let client = client.clone();
        async move { client.fetch(request).await }
    };
    let (sent, waits) = (begun(send(0)), begun(send(1)));
    assert_eq!(load(&client), (1, 1));
    controllers[1].abort_with_reason(&"the user left".into());
    assert_eq!(waits.await.expect_err("it was aborted"), Error::Aborted { reason: "the user left".into() });
    assert_eq!(load(&client), (1, 0));
    controllers[0].abort_with_reason(&JsValue::NULL);
    assert!(matches!(sent.await, Err(Error::Aborted { .. })));
    assert!(world.aborted(0));
    controllers[2].abort();
    assert!(matches!(send(2).await, Err(Error::Aborted { .. })), "before it was sent");
    assert_eq!((world.count(), load(&client)), (1, (0, 0)));
}

#[wasm_bindgen_test]
async fn an_app_aborts_a_body_that_is_still_on_its_way() {
    let world = World::new();
    let client = client_with(&world, NORMAL).await;
    let controller = AbortController::new().expect("a browser has it");
    let request = Request::get(&address(&world, "/")).abort_signal(Some(&controller.signal()));
    let request = begun(async move { client.fetch(request).await });
    world.answer(0, 200, "{}", "the beginning");
    let _answer = request.await.expect("an answer");
    assert!(!world.aborted(0), "the future is gone, and the body is not");
    controller.abort();
    assert!(world.aborted(0));
}

#[wasm_bindgen_test]
async fn a_fetch_may_reject_with_anything() {
    let world = World::new();
    let client = client_with(&world, NORMAL).await;
    let values = [
        (js_sys::TypeError::new("Failed to fetch").into(), "Failed to fetch"),
        (JsValue::from_str("a text"), "a text"),
        (JsValue::UNDEFINED, "unknown reason"),
        (JsValue::from_f64(3.0), "unknown reason"),
        (js_sys::Object::new().into(), "unknown reason"),
    ];
    for (index, (value, message)) in values.into_iter().enumerate() {
        let request = begin(&client, &world, "/");
        world.fail(index as u32, &value);
        assert_eq!(request.await.expect_err("it failed"), Error::Network { message: message.into() });
    }
    assert_eq!(load(&client), (0, 0));
}

#[wasm_bindgen_test]
async fn an_open_breaker_says_when_to_return() {
    let world = World::new();
    let client = client_with(&world, OPEN).await;
    let error = client.fetch(address(&world, "/")).await.expect_err("the breaker is open");
    assert!(matches!(error, Error::CircuitOpen { .. }), "{error:?}");
    assert!(error.retry_after().is_some_and(|wait| !wait.is_zero()), "{error:?}");
    assert_eq!((world.count(), error.code()), (0, Some("circuit_open")));
}

#[wasm_bindgen_test]
async fn a_wrong_request_is_an_error() {
    let client = Client::builder("").build().expect("the page has an origin");
    let wrong = client.fetch("http://").await;
    assert!(matches!(wrong, Err(Error::Request { .. })), "{wrong:?}");
    let wrong = client.fetch(Request::get("/").header("a", "b").body("a GET has none")).await;
    assert!(matches!(wrong, Err(Error::Request { .. })), "{wrong:?}");
}

#[wasm_bindgen_test]
fn a_wrong_option_is_named() {
    for base in ["api.example.com", "/shop", "file:///tmp"] {
        let wrong = Client::builder(base).build().expect_err("it is no address");
        assert_eq!(wrong.option, "base", "{base}");
    }
    assert_eq!(Client::builder("").max_queue(20_000).build().expect_err("too many").option, "max_queue");
    assert_eq!(Client::builder("").retries(6).build().expect_err("too many").option, "retries");
}
