//! The page around the client: its storage.

use poolgate_web::{Ask, Client};
use wasm_bindgen_test::wasm_bindgen_test;
use web_sys::Storage;

use crate::support::{NORMAL, World, changed, client_with, sleep, until};

const LIMITED: &str = r#"{ "enforced": true, "fair_rate_per_second": 0.5, "max_concurrent_requests": 10 }"#;

#[wasm_bindgen_test]
async fn a_reload_continues_with_the_budget_under_the_packages_key() {
    let world = World::new();
    let key = format!("poolgate-budget {}", world.base());
    let client = client_with(&world, &changed(NORMAL, LIMITED)).await;
    // The first tokens are used up.
    let mut tickets = Vec::new();
    for _ in 0..3 {
        let admission = client.admit(Ask { queue_timeout: Some(std::time::Duration::ZERO), ..Ask::default() });
        tickets.extend(admission.await);
    }
    drop(tickets);
    client.close();
    drop(client);
    // It stores the budget once more at its end.
    sleep(20).await;
    until("the budget is stored", || storage().get_item(&key).is_ok_and(|text| text.is_some())).await;
    let text = storage().get_item(&key).expect("storage").expect("a text");
    let numbers: Vec<f64> = serde_json::from_str(&text).expect("a list of numbers");
    assert_eq!(numbers.len(), 6, "{text}");
    assert!(numbers[1] < 1.5 && numbers[2] == 0.5 && numbers[5] == 1_763_880_000_000.0, "{text}");

    // The next client of the page has a pause to wait for: another page, or the package, has stored it.
    let paused = format!("[{},1,0.5,1,30,1763880000000]", js_sys::Date::now());
    storage().set_item(&key, &paused).expect("storage");
    world.set_config(NORMAL);
    let next = Client::builder(world.base()).build().expect("an address");
    until("it has asked", || next.state().config.is_some()).await;
    let waits = next.admit(Ask::default());
    assert_eq!((next.state().queued, next.state().in_flight), (1, 0));
    drop(waits);
}

#[wasm_bindgen_test]
async fn another_scripts_value_under_the_key_is_ignored() {
    for text in ["", "{}", "[1,2,3]", "[1,2,3,4,5,\"6\"]", "[null,1,1,1,1,1]", "null"] {
        let world = World::new();
        storage().set_item(&format!("poolgate-budget {}", world.base()), text).expect("storage");
        let client = client_with(&world, NORMAL).await;
        let _ticket = client.admit(Ask::default()).await.expect("nothing limits it");
        assert_eq!((client.state().queued, client.state().in_flight), (0, 1), "{text}");
    }
}

fn storage() -> Storage {
    web_sys::window().and_then(|window| window.local_storage().ok().flatten()).expect("a page has storage")
}
