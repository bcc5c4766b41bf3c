//! One product, and its order.

use leptos::{
    prelude::*,
    reactive::spawn_local_scoped_with_cancellation,
    task::spawn_local,
};
use poolgate_web::Client;

use crate::api::{self, Order, Page};

#[component]
pub fn ProductPage(id: i64) -> impl IntoView {
    let client = expect_context::<Client>();
    let (page, set_page) = signal(None::<Result<Page, String>>);
    // Dropped with the component: the request leaves the queue, or is aborted.
    spawn_local_scoped_with_cancellation({
        let client = client.clone();
        async move { set_page.set(Some(api::page(&client, id).await)) }
    });
    view! {
        <section class="product">
            {move || match page.get() {
                None => view! { <p class="quiet">"Loading …"</p> }.into_any(),
                Some(Err(error)) => view! { <p class="wrong">{error}</p> }.into_any(),
                Some(Ok(page)) => view! { <Details page client=client.clone() /> }.into_any(),
            }}
        </section>
    }
}

#[component]
fn Details(page: Page, client: Client) -> impl IntoView {
    let (ordered, set_ordered) = signal(None::<Result<Order, String>>);
    let id = page.product.id;
    let order = move |_| {
        let client = client.clone();
        spawn_local(async move { set_ordered.set(Some(api::order(&client, id).await)) });
    };
    let companions: Vec<_> = page.bought_together.into_iter().map(|companion| companion.name).collect();
    view! {
        <div class="bar">
            <strong>{page.product.name}</strong>
            <span>{api::price(page.product.price_cents)}</span>
            <span class="quiet">{format!("{} in stock", page.product.stock)}</span>
            <button class="main" on:click=order>"Order"</button>
        </div>
        <p class="quiet">{format!("Often bought together: {}", companions.join(", "))}</p>
        {move || ordered.get().map(|ordered| match ordered {
            Ok(order) => {
                let text = format!("Order {} placed: {}", order.id, api::price(order.total_cents));
                view! { <p class="ordered">{text}</p> }.into_any()
            }
            Err(error) => view! { <p class="wrong">{error}</p> }.into_any(),
        })}
    }
}
