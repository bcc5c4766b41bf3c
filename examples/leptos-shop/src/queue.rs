//! Shows what the client does at the moment.

use leptos::prelude::*;
use poolgate_web::{Client, State};

#[component]
pub fn Queue() -> impl IntoView {
    let client = expect_context::<Client>();
    let state = ReadSignal::<Option<State>>::from_stream(client.changes());
    let text = move || state.read().as_ref().map(describe);
    let queued = move || state.read().as_ref().map_or(0, |state| state.queued);
    view! {
        <p class="queue bar" role="status">
            <meter min="0" max="30" high="10" value=queued aria-label="Waiting requests"></meter>
            <span>{text}</span>
        </p>
    }
}

fn describe(state: &State) -> String {
    let rate = state.rate_per_second.map_or_else(|| "no limit".to_owned(), |rate| format!("{rate:.1} requests/s"));
    let wait = state.eta.map_or_else(String::new, |eta| format!(", about {:.1} s", eta.latest.as_secs_f32()));
    match state.queued {
        0 => format!("nothing waits · {rate}"),
        1 => format!("1 request waits{wait} · {rate}"),
        queued => format!("{queued} requests wait{wait} · {rate}"),
    }
}
