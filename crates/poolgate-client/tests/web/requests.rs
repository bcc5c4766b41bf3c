//! What the host's fetch is given, and what the app gets back.

use js_sys::{Array, JsString};
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;

use crate::support::*;

/// Ten requests a second, and so many at a time that only the rate matters.
const MANY: &str = r#"{ "fair_rate_per_second": 10, "max_concurrent_requests": 10 }"#;

#[wasm_bindgen_test]
async fn an_immediate_call_is_handed_on_as_it_is() {
    let world = World::new();
    let client = client_with(&world, NORMAL, "{}", "{}").await;
    let input: JsValue = web_sys::Request::new_with_str("/orders").expect("a request").into();
    let init = json(r#"{ "headers": { "x": "1" }, "next": { "revalidate": 60 } }"#);
    let promise = client.fetch(input.clone(), init.clone());
    assert_eq!(load(&client), (0.0, 1.0));
    assert_eq!((world.input(0), world.init(0)), (input, init));

    let response = response(200, "{}");
    world.answer(0, &response);
    assert_eq!(settled(promise).await, Ok(response));
    assert_eq!(load(&client), (0.0, 0.0));
    client.close();
}

#[wasm_bindgen_test]
async fn what_the_host_fails_with_is_handed_on_as_it_is() {
    let world = World::new();
    let client = client_with(&world, NORMAL, "{}", "{}").await;
    for error in [js_sys::TypeError::new("Failed to fetch").into(), JsValue::from_str("a string"), JsValue::UNDEFINED] {
        let promise = fetch(&client, "/", "");
        world.fail(world.count() - 1, &error);
        assert_eq!(settled(promise).await, Err(error));
        assert_eq!(load(&client), (0.0, 0.0));
    }
    let thrown: JsValue = js_sys::Error::new("thrown, not rejected").into();
    world.set_throws(&thrown);
    assert_eq!(settled(fetch(&client, "/", "")).await, Err(thrown));
    assert_eq!(load(&client), (0.0, 0.0));
    client.close();
}

#[wasm_bindgen_test]
async fn requests_that_do_not_count_pass() {
    let world = World::new();
    let client = client_with(&world, OPEN, "{}", "{}").await;
    for url in ["https://elsewhere.test/", "/api/v1/health/ping", "http://[broken"] {
        let before = world.count();
        drop(fetch(&client, url, ""));
        assert_eq!(world.count(), before + 1, "{url}");
    }
    assert_eq!(load(&client), (0.0, 0.0));
    client.close();
}

#[wasm_bindgen_test]
async fn the_app_chooses_what_counts() {
    let world = World::new();
    world.set_config(&json(OPEN));
    let options = json(r#"{ "transport": "poll", "autoCleanup": false }"#);
    set(&options, "fetch", &world.fetch());
    let choose = Closure::<dyn Fn(JsValue) -> Result<bool, JsValue>>::new(|url: JsValue| {
        let path = text(&url, "pathname");
        if path == "/throws" { Err(JsValue::from_str("a bug")) } else { Ok(path == "/counts") }
    });
    set(&options, "throttles", choose.as_ref());
    let client = poolgate_client::Client::new(&options, world.shell()).expect("the options are fine");
    settled(client.refresh()).await.expect("a config");
    drop(fetch(&client, "/other", ""));
    drop(fetch(&client, "/throws", ""));
    assert_eq!((world.count(), world.warnings().length()), (2, 1));
    settled(fetch(&client, "https://elsewhere.test/counts", "")).await.expect_err("the breaker is open");
    client.close();
}

#[wasm_bindgen_test]
async fn limits_hold_and_every_call_is_answered() {
    let world = World::new();
    let changes = r#"{ "fair_rate_per_second": 100, "max_concurrent_requests": 2 }"#;
    let client = client_with(&world, MODERATE, changes, "{}").await;
    let calls: Vec<_> = (0..8).map(|i| fetch(&client, &format!("/{i}"), "")).collect();
    let mut answered = 0;
    while answered < 8 {
        until("a request starts", || world.count() > answered).await;
        sleep(40).await;
        assert!(load(&client).1 <= 2.0, "two at a time");
        world.answer(answered, &response(200, "{}"));
        answered += 1;
    }
    for call in calls {
        settled(call).await.expect("answered");
    }
    assert_eq!(load(&client), (0.0, 0.0));
    assert!(
        world.details("queuechange").ends_with(r#"{"queued":0,"inFlight":2}]"#),
        "{}",
        world.details("queuechange")
    );
    client.close();
}

#[wasm_bindgen_test]
async fn a_call_that_waits_keeps_what_was_said() {
    let world = World::new();
    let client = client_with(&world, MODERATE, MANY, "{}").await;
    let init = json(r#"{ "method": "POST", "headers": [["x-a", "before"]], "next": { "tags": ["a"] } }"#);
    let form = web_sys::FormData::new().expect("a form");
    form.append_with_str("a", "1").expect("appended");
    form.append_with_str("a", "2").expect("appended");
    set(&init, "body", &form);
    fill(&client);
    let waiting = load(&client).0;
    drop(client.fetch("relative?x=1".into(), init.clone()));
    assert_eq!(load(&client).0, waiting + 1.0);

    let page = web_sys::window().expect("a page").document().expect("a document");
    let base = page.create_element("base").expect("an element");
    base.set_attribute("href", "/elsewhere/").expect("set");
    page.head().expect("a head").append_child(&base).expect("appended");
    get(&init, "headers").unchecked_into::<Array>().set(0, Array::of2(&"x-a".into(), &"after".into()).into());
    form.append_with_str("a", "3").expect("appended");
    set(&init, "method", &"PUT".into());

    let posted = |i: &u32| text(&world.init_or_empty(*i), "method") == "POST";
    until("it starts", || (0..world.count()).any(|i| posted(&i))).await;
    base.remove();
    let index = (0..world.count()).find(posted).expect("started");
    let (input, sent) = (world.input(index), world.init(index));
    let here = page.base_uri().ok().flatten().expect("an address");
    let expected = web_sys::Url::new_with_base("relative?x=1", &here).expect("an address").href();
    assert_eq!(input.as_string(), Some(expected));
    let headers: web_sys::Headers = get(&sent, "headers").unchecked_into();
    assert_eq!(headers.get("x-a"), Ok(Some("before".to_owned())));
    let body: web_sys::FormData = get(&sent, "body").unchecked_into();
    assert_eq!(body.get_all("a").length(), 2);
    assert_eq!(get(&sent, "next"), get(&init, "next"), "what the platform does not know is kept");
    client.close();
}

#[wasm_bindgen_test]
async fn the_important_goes_first_and_bypass_at_once() {
    let world = World::new();
    let client = client_with(&world, MODERATE, r#"{ "fair_rate_per_second": 30 }"#, "{}").await;
    fill(&client);
    let started = world.count();
    for (path, init) in [
        ("/low", r#"{ "priority": "low" }"#),
        ("/normal", ""),
        ("/high", r#"{ "priority": "high" }"#),
        ("/critical", r#"{ "priority": "low", "poolgate": { "priority": "critical" } }"#),
    ] {
        drop(fetch(&client, path, init));
    }
    drop(fetch(&client, "/bypass", r#"{ "poolgate": { "bypass": true } }"#));
    assert_eq!(world.count(), started + 1, "bypass does not wait");
    assert_eq!(name(&world.input(started)), "/bypass");
    let order = drained(&client, &world, started + 1).await;
    let named: Vec<_> = order.into_iter().filter(|path| path != "/fill").collect();
    assert_eq!(named, ["/critical", "/high", "/normal", "/low"]);
    client.close();
}

#[wasm_bindgen_test]
async fn the_app_may_call_from_within() {
    let world = World::new();
    let client = std::rc::Rc::new(client_with(&world, MODERATE, r#"{ "fair_rate_per_second": 50 }"#, "{}").await);
    let listener = {
        let client = std::rc::Rc::clone(&client);
        Closure::<dyn Fn(JsValue)>::new(move |_: JsValue| {
            client.state();
            drop(fetch(&client, "/from-a-listener", r#"{ "poolgate": { "bypass": true } }"#));
        })
    };
    world.set_on_event(listener.as_ref());
    drop(fetch(&client, "/", ""));
    drop(fetch(&client, "/", ""));
    until("a listener's request", || world.count() > 0).await;
    world.set_on_event(&JsValue::UNDEFINED);
    client.close();
}

#[wasm_bindgen_test]
async fn a_server_without_poolgate_is_let_alone() {
    let world = World::new();
    let client = client(&world, r#"{ "pollIntervalMs": 1000 }"#);
    until("the question", || world.asked() == 1).await;
    for i in 0..20 {
        drop(fetch(&client, "/", ""));
        assert_eq!(world.count(), i + 1);
    }
    sleep(1400).await;
    assert_eq!(world.asked(), 1);
    assert_eq!(text(&client.state(), "transport"), "none");
    client.close();
}

/// Uses up what may start at once.
fn fill(client: &poolgate_client::Client) {
    for _ in 0..3 {
        drop(fetch(client, "/fill", ""));
    }
}

/// Answers everything from `index` on until nothing waits; the paths in the order of their starts.
async fn drained(client: &poolgate_client::Client, world: &World, mut index: u32) -> Vec<String> {
    let mut order = Vec::new();
    (0..index).for_each(|i| world.answer(i, &response(200, "{}")));
    until("all have started", || {
        while index < world.count() {
            order.push(name(&world.input(index)));
            world.answer(index, &response(200, "{}"));
            index += 1;
        }
        load(client).0 == 0.0
    })
    .await;
    order
}

fn name(input: &JsValue) -> String {
    let url: JsString = input.clone().unchecked_into();
    let url = String::from(url);
    url.find("//").and_then(|at| url[at + 2..].find('/').map(|path| url[at + 2 + path..].to_owned())).unwrap_or(url)
}
