//! Yew.

// recipe
use futures_util::{StreamExt, future::abortable};
use poolgate_web::{Client, State};
use wasm_bindgen_futures::spawn_local;
use yew::prelude::*;

#[hook]
fn use_client_state(client: &Client) -> UseStateHandle<State> {
    let state = use_state(|| client.state());
    let (setter, mut changes) = (state.setter(), client.changes());
    use_effect_with((), move |()| {
        let (watching, end) = abortable(async move {
            while let Some(now) = changes.next().await {
                setter.set(now);
            }
        });
        spawn_local(async {
            let _ = watching.await;
        });
        move || end.abort() // with the component
    });
    state
}
// end

/// Shows how many requests wait.
#[component(Queue)]
pub fn queue() -> Html {
    let client = use_memo((), |()| Client::builder("").build().expect("the page has an origin"));
    let state = use_client_state(&client);
    html! { <p>{ state.queued }</p> }
}
