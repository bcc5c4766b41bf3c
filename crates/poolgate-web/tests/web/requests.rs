//! The app's requests: start, queue, answer, retry, close.

use std::time::Duration;

use gloo_net::http::Request;
use poolgate_web::{Admission, Ask, Changes, Client, Error, Outcome, Priority, Ticket};
use wasm_bindgen_test::wasm_bindgen_test;

use crate::support::{NORMAL, World, address, begin, begun, client_with, load, one_at_a_time, until};

#[wasm_bindgen_test]
fn handles_can_be_sent_to_other_threads() {
    fn sent<T: Send + Sync>() {}
    sent::<Client>();
    sent::<Ticket>();
    sent::<Admission>();
    sent::<Changes>();
    sent::<Error>();
}

#[wasm_bindgen_test]
async fn requests_pass_before_the_first_config() {
    let world = World::new();
    let client = Client::builder(world.base()).build().expect("an address");
    let requests: Vec<_> = (0..20).map(|index| begin(&client, &world, &format!("/{index}"))).collect();
    assert_eq!(world.count(), 20);
    world.answer(3, 200, "{}", "three");
    let answer = requests.into_iter().nth(3).expect("twenty").await.expect("an answer");
    assert_eq!(answer.text().await.expect("a text"), "three");
}

#[wasm_bindgen_test]
async fn above_the_limit_a_request_waits_for_its_turn() {
    let world = World::new();
    let client = client_with(&world, &one_at_a_time()).await;
    let first = begin(&client, &world, "/first");
    let second = begin(&client, &world, "/second");
    assert_eq!((world.count(), load(&client)), (1, (1, 1)));
    world.answer(0, 200, "{}", "");
    first.await.expect("an answer");
    until("the second is due", || client.state().queued == 0).await;
    world_answers(&world, 1, second).await;
    assert_eq!(world.path(1), "/second");
}

#[wasm_bindgen_test]
async fn the_most_important_goes_first() {
    let world = World::new();
    let client = client_with(&world, &one_at_a_time()).await;
    let first = begin(&client, &world, "/first");
    let usual = begin(&client, &world, "/usual");
    let ask = Request::post(&address(&world, "/order")).body("{}");
    let order = begun({
        let client = client.clone();
        async move { client.fetch_with(Priority::Critical, ask).await }
    });
    world.answer(0, 200, "{}", "");
    first.await.expect("an answer");
    world_answers(&world, 1, order).await;
    world_answers(&world, 2, usual).await;
    assert_eq!((world.path(1), world.path(2)), ("/order".into(), "/usual".into()));
}

#[wasm_bindgen_test]
async fn what_is_not_throttled_passes() {
    let world = World::new();
    let client = client_with(&world, &one_at_a_time()).await;
    let _first = begin(&client, &world, "/first");
    let _health = begin(&client, &world, "/api/v1/health/ping");
    let _bypass = begun({
        let (client, address) = (client.clone(), address(&world, "/bypass"));
        async move { client.fetch_with(Ask { bypass: true, ..Ask::default() }, address).await }
    });
    let elsewhere = client.fetch("data:text/plain,elsewhere").await.expect("an answer");
    assert_eq!(elsewhere.text().await.expect("a text"), "elsewhere");
    assert_eq!(world.count(), 3);
    assert_eq!(load(&client), (1, 0));
}

#[wasm_bindgen_test]
async fn a_dropped_future_leaves_the_queue_or_aborts() {
    let world = World::new();
    let client = client_with(&world, &one_at_a_time()).await;
    let first = begin(&client, &world, "/first");
    let second = begin(&client, &world, "/second");
    drop(second);
    assert_eq!(load(&client), (1, 0));
    drop(first);
    assert!(world.aborted(0));
    assert_eq!(load(&client), (0, 0));

    // The answer's body goes on after the future.
    let third = begin(&client, &world, "/third");
    world.answer(1, 200, "{}", "body");
    let answer = third.await.expect("an answer");
    assert!(!world.aborted(1));
    assert_eq!(answer.text().await.expect("a text"), "body");
}

#[wasm_bindgen_test]
async fn a_wait_has_an_end() {
    let world = World::new();
    let client = client_with(&world, &one_at_a_time()).await;
    let _first = begin(&client, &world, "/first");
    let ask = |timeout| Ask { queue_timeout: Some(timeout), ..Ask::default() };
    let late = client.fetch_with(ask(Duration::from_millis(50)), address(&world, "/late")).await;
    assert!(matches!(late, Err(Error::QueueTimeout { .. })), "{late:?}");
    let at_once = client.fetch_with(ask(Duration::ZERO), address(&world, "/at-once")).await;
    assert!(matches!(at_once, Err(Error::QueueTimeout { .. })), "{at_once:?}");
    assert_eq!(world.count(), 1, "nothing else was sent");
}

#[wasm_bindgen_test]
async fn others_requests_are_admitted() {
    let world = World::new();
    let client = client_with(&world, &one_at_a_time()).await;
    let first = client.admit(Ask::default()).await.expect("nothing is in flight");
    let second = begin(&client, &world, "/second");
    drop(client.admit(Priority::High));
    assert_eq!((world.count(), load(&client)), (0, (1, 1)));
    let config = "e=1763880000000, v=999, level=AGGRESSIVE, interval=1, concurrency=2, open=?0";
    first.finish(200, |name| (name == "poolgate-config").then_some(config), b"");
    world_answers(&world, 0, second).await;
    assert_eq!(client.state().level, poolgate_web::Level::Aggressive, "it has read the header");
    client.admit(Ask::default()).await.expect("a ticket").complete(Outcome::Failure);
    assert_eq!(load(&client), (0, 0));
}

#[wasm_bindgen_test]
async fn a_failed_request_is_repeated_where_that_is_safe() {
    let world = World::new();
    let client = client_with(&world, NORMAL).await;
    let ask = Ask { retries: Some(2), ..Ask::default() };
    let repeated = begun({
        let (client, address) = (client.clone(), address(&world, "/again"));
        async move { client.fetch_with(ask, address).await }
    });
    world.answer(0, 503, "{}", "busy");
    let answers = async {
        until("another attempt", || world.count() == 2).await;
        world.answer(1, 200, "{}", "done");
    };
    let (answer, ()) = futures(repeated, answers).await;
    assert_eq!(answer.expect("an answer").status(), 200);

    let posted = begun({
        let (client, request) = (client.clone(), Request::post(&address(&world, "/post")));
        async move { client.fetch_with(ask, request).await }
    });
    world.answer(2, 503, "{}", "busy");
    assert_eq!(posted.await.expect("an answer").status(), 503);
    assert_eq!(world.count(), 3);
}

#[wasm_bindgen_test]
async fn a_closed_client_rejects_what_waits_and_passes_the_rest() {
    let world = World::new();
    let client = client_with(&world, &one_at_a_time()).await;
    let _first = begin(&client, &world, "/first");
    let second = begin(&client, &world, "/second");
    client.close();
    assert_eq!(second.await.expect_err("it is closed"), Error::Closed);
    let _third = begin(&client, &world, "/third");
    assert_eq!(world.count(), 2);
    assert_eq!(client.refresh().await, Err(Error::Closed));
}

#[wasm_bindgen_test]
async fn the_last_handle_closes_the_client() {
    let world = World::new();
    let client = client_with(&world, &one_at_a_time()).await;
    let admission = client.admit(Ask::default());
    let ticket = admission.await.expect("nothing is in flight");
    let waits = client.admit(Ask::default());
    drop(client);
    assert_eq!(waits.await.expect_err("it is closed"), Error::Closed);
    drop(ticket);
}

async fn world_answers(world: &World, index: u32, request: crate::support::Begun) {
    let answers = async {
        until("it is sent", || world.count() > index).await;
        world.answer(index, 200, "{}", "");
    };
    let (answer, ()) = futures(request, answers).await;
    answer.expect("an answer");
}

/// Both at the same time.
async fn futures<A, B>(first: impl Future<Output = A>, second: impl Future<Output = B>) -> (A, B) {
    futures_util::future::join(first, second).await
}
