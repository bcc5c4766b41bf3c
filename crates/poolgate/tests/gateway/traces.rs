//! What a gateway does with a request's trace, and what it says of the time.

use std::time::Duration;

use axum::{Router, routing::get as route_get};
use poolgate_server::Settings;
use tokio::time;

use crate::{
    client::{Answer, ask, get},
    front::{axum_app, front, front_with},
    raw_app::{RawApp, ok},
};

/// T61: a gateway that records no traces does not judge them either.
#[tokio::test]
async fn the_trace_is_passed_on_as_it_came() {
    let app = RawApp::answering(ok("fine")).await;
    let front = front(app.address).await;
    let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    for traceparent in [
        format!("00-{trace}-{parent}-01"),
        format!("cc-{trace}-{parent}-01-what-the-future-adds"),
        format!("00-{}-{parent}-01", trace.to_uppercase()),
        format!("00-{}-{parent}-01", "0".repeat(32)),
    ] {
        let fields = format!("traceparent: {traceparent}\r\ntracestate: a=1,b=2\r\n");
        ask(front.address, format!("GET / HTTP/1.1\r\nHost: shop\r\n{fields}\r\n")).await;
        let seen = app.requests().pop().expect("a request");
        assert!(seen.contains(&fields), "{fields} {seen}");
    }
    ask(front.address, "GET / HTTP/1.1\r\nHost: shop\r\n\r\n").await;
    assert!(!app.requests().pop().expect("a request").contains("traceparent"));
}

/// Each line's metrics: name and milliseconds.
fn timing(answer: &Answer) -> Vec<(String, f64)> {
    let lines = answer.head.lines().filter_map(|line| line.strip_prefix("server-timing: "));
    let metrics = lines.flat_map(|line| line.split(", "));
    let parts = metrics.map(|metric| metric.split_once(";dur=").expect("a metric"));
    parts.map(|(name, time)| (name.to_owned(), time.parse().expect("a time"))).collect()
}

fn names(timing: &[(String, f64)]) -> Vec<&str> {
    timing.iter().map(|(name, _)| name.as_str()).collect()
}

#[tokio::test]
async fn answers_say_how_long_the_gate_and_the_app_took_if_they_shall() {
    let app = axum_app(Router::new().route(
        "/{*path}",
        route_get(async || {
            time::sleep(Duration::from_millis(150)).await;
            ([("server-timing", "db;dur=5")], "done")
        }),
    ))
    .await;
    let timed = |settings: &mut Settings| {
        settings.gate.server_timing = true;
        settings.gate.bypass = vec!["/static/".to_owned()];
        settings.gate.max_concurrent_requests = 1;
        settings.gate.timeout = Duration::from_millis(100);
    };
    let front_of_app = front_with(app, timed).await;
    let answered = timing(&get(front_of_app.address, "/orders").await);
    assert_eq!(names(&answered), ["db", "gate", "upstream"]);
    assert!((0.0..150.0).contains(&answered[1].1) && (149.0..10_000.0).contains(&answered[2].1), "{answered:?}");
    assert_eq!(names(&timing(&get(front_of_app.address, "/static/a").await)), ["db", "upstream"], "without the gate");
    // The second waits in vain.
    let (one, other) = tokio::join!(get(front_of_app.address, "/orders"), get(front_of_app.address, "/orders"));
    let rejected = if one.status == 503 { one } else { other };
    assert_eq!(rejected.status, 503);
    let rejected = timing(&rejected);
    assert_eq!(names(&rejected), ["gate"]);
    assert!((100.0..10_000.0).contains(&rejected[0].1), "{rejected:?}");

    let quiet = front(app).await;
    assert_eq!(names(&timing(&get(quiet.address, "/orders").await)), ["db"], "not by default");
    let nothing = front_with("127.0.0.1:1".parse().expect("an address"), timed).await;
    let failed = get(nothing.address, "/orders").await;
    assert_eq!((failed.status, names(&timing(&failed))), (502, vec!["gate", "upstream"]));
}
