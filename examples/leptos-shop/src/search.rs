//! Finds products.

use leptos::{prelude::*, task::spawn_local};
use poolgate_web::Client;

use crate::api::{self, Found, Product};

#[component]
pub fn Search(choose: WriteSignal<Option<i64>>) -> impl IntoView {
    let client = expect_context::<Client>();
    let (text, set_text) = signal(String::new());
    let (found, set_found) = signal(None::<Result<Found, String>>);
    let search = move || {
        let client = client.clone();
        spawn_local(async move { set_found.set(Some(api::search(&client, &text.get_untracked()).await)) });
    };
    view! {
        <section>
            <form
                class="bar"
                on:submit=move |event| {
                    event.prevent_default();
                    search();
                }
            >
                <input
                    type="search"
                    placeholder="What are you looking for?"
                    aria-label="Search"
                    on:input:target=move |event| set_text.set(event.target().value())
                />
                <button class="main">"Search"</button>
            </form>
            {move || found.get().map(|found| match found {
                Err(error) => view! { <p class="wrong">{error}</p> }.into_any(),
                Ok(found) => view! { <Results found choose /> }.into_any(),
            })}
        </section>
    }
}

#[component]
fn Results(found: Found, choose: WriteSignal<Option<i64>>) -> impl IntoView {
    let item = move |Product { id, name, price_cents, .. }: Product| {
        view! {
            <li>
                <button on:click=move |_| choose.set(Some(id))>
                    <span>{name}</span>
                    <span>{api::price(price_cents)}</span>
                </button>
            </li>
        }
    };
    let Found { products, total } = found;
    view! {
        <p class="quiet">{format!("{total} products")}</p>
        <ul class="results">{products.into_iter().take(6).map(item).collect_view()}</ul>
    }
}
