//! A small shop. All its requests go through one Poolgate client, which the components find in their context.

mod api;
mod product;
mod queue;
mod search;
mod tour;

use leptos::{
    prelude::*,
    wasm_bindgen::{JsCast, JsValue},
    web_sys::{HtmlElement, js_sys},
};
use poolgate_web::Client;

use crate::{product::ProductPage, queue::Queue, search::Search, tour::Tour};

fn main() {
    let client = client();
    if let Some(status) = element("poolgate-status") {
        js_sys::Reflect::set(&status, &"source".into(), &client.to_js()).expect("an element takes any property");
    }
    let main = element("main").expect("index.html has it").unchecked_into::<HtmlElement>();
    leptos::mount::mount_to(main, || view! { <Shop client /> }).forget();
}

/// The page's own client if JavaScript has made one, and otherwise a new one for this origin.
fn client() -> Client {
    let script = js_sys::Reflect::get(&js_sys::global(), &"poolgate".into()).unwrap_or(JsValue::UNDEFINED);
    Client::adopt(&script).or_else(|_| Client::builder("").build()).expect("the page has an origin")
}

fn element(name: &str) -> Option<leptos::web_sys::Element> {
    document().query_selector(name).ok().flatten()
}

#[component]
fn Shop(client: Client) -> impl IntoView {
    provide_context(client);
    let chosen = RwSignal::new(None);
    view! {
        <Queue />
        <Search choose=chosen.write_only() />
        // A product that is no longer shown is unmounted, which aborts its request.
        {move || chosen.get().map(|id| view! { <ProductPage id /> })}
        <Tour />
    }
}
