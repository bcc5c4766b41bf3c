//! When to open the stream and when to ask: the table that the browser's client is held against as well.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use poolgate_front::transport::{Action, Mode, Plan};
use serde_json::Value;

#[test]
fn the_plan_does_what_the_table_says() {
    let table: Value = serde_json::from_str(include_str!("../../../tests/fixtures/transport-plan.json")).expect("JSON");
    for case in table.as_array().expect("a list") {
        let mode = match case["mode"].as_str() {
            Some("auto") => Mode::Auto,
            Some("sse") => Mode::Sse,
            Some("poll") => Mode::Poll,
            other => panic!("{other:?}"),
        };
        let mut plan = Plan::new(mode, case["has_streams"] != false, Duration::from_secs(30));
        for step in case["steps"].as_array().expect("a list") {
            take(&mut plan, step, &format!("{}: {step}", case["name"]));
        }
    }
}

fn take(plan: &mut Plan, step: &Value, place: &str) {
    let now = milliseconds(&step["at"]).expect("every step has a time");
    let chance = step["chance"].as_f64().unwrap_or(0.5);
    let flag = |name: &str| step[name].as_bool().expect(place);
    match step["do"].as_str() {
        None => {}
        Some("lead") => plan.lead(now),
        Some("rest") => plan.rest(),
        Some("heard") => plan.heard(flag("enforced"), now),
        Some("streamLost") => plan.stream_lost(now, chance),
        Some("streamEnded") => plan.stream_ended(now, chance),
        Some("returnWithin") => plan.return_within(milliseconds(&step["ms"]).expect(place)),
        Some("asked") => plan.asked(flag("answered"), milliseconds(&step["interval"]), now, chance),
        Some("askSoon") => plan.ask_soon(now, chance),
        Some("hidden") => plan.hidden(now),
        Some("shown") => plan.shown(now),
        Some("end") => plan.end(),
        Some(other) => panic!("{other}: {place}"),
    }
    if let Some(due) = step["due"].as_array() {
        let found: Vec<_> = std::iter::from_fn(|| plan.next(now, chance)).map(name).collect();
        assert_eq!(due.iter().filter_map(Value::as_str).collect::<Vec<_>>(), found, "{place}");
    }
    if let Some(next) = step.get("next") {
        // Multiplication by a fraction may be off by a nanosecond.
        let found = plan.next_deadline().map(|at| (at.as_secs_f64() * 1000.0).round());
        assert_eq!(next.as_f64(), found, "{place}");
    }
    if let Some(streams) = step["streams"].as_bool() {
        assert_eq!(plan.is_streaming(), streams, "{place}");
    }
    if let Some(informed) = step["informed"].as_bool() {
        assert_eq!(plan.is_informed(), informed, "{place}");
    }
}

fn milliseconds(value: &Value) -> Option<Duration> {
    value.as_u64().map(Duration::from_millis)
}

fn name(action: Action) -> &'static str {
    match action {
        Action::OpenStream => "openStream",
        Action::CloseStream => "closeStream",
        Action::Ask => "ask",
    }
}
