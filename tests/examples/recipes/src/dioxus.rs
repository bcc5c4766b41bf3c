//! Dioxus.

// recipe
use dioxus::prelude::*;
use futures_util::StreamExt;
use poolgate_web::{Client, State};

fn use_client_state() -> Signal<State> {
    let client = use_context::<Client>();
    let mut state = use_signal(|| client.state());
    use_future(move || {
        let mut changes = client.changes();
        async move {
            while let Some(now) = changes.next().await {
                state.set(now);
            }
        }
    });
    state
}
// end

/// Shows how many requests wait.
#[component]
pub fn Queue() -> Element {
    let state = use_client_state();
    rsx! { p { "{state.read().queued}" } }
}
