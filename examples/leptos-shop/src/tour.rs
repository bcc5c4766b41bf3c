//! Looks at many products at once, so that there is something to see in the queue.

use leptos::{prelude::*, task::spawn_local};
use poolgate_web::Client;

use crate::api;

const PRODUCTS: i64 = 40;

#[component]
pub fn Tour() -> impl IntoView {
    let client = expect_context::<Client>();
    let (seen, set_seen) = signal(0);
    let (failed, set_failed) = signal(0);
    let look = move |_| {
        set_seen.set(0);
        set_failed.set(0);
        for id in 1..=PRODUCTS {
            let client = client.clone();
            spawn_local(async move {
                match api::glance(&client, id).await {
                    Ok(_) => *set_seen.write() += 1,
                    Err(_) => *set_failed.write() += 1,
                }
            });
        }
    };
    view! {
        <section class="bar">
            <button class="tour" on:click=look>{format!("Look at {PRODUCTS} products")}</button>
            <span class="quiet">{move || format!("{} seen, {} not", seen.get(), failed.get())}</span>
        </section>
    }
}
