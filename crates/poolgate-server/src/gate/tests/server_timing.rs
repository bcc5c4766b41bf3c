//! Where the time went, as answers say it.

use http::HeaderValue;

use super::*;

/// The lines of `Server-Timing`.
fn lines<B>(response: &Response<B>) -> Vec<&str> {
    response.headers().get_all("server-timing").iter().map(|line| line.to_str().expect("text")).collect()
}

/// A service that says something itself, and takes a connection after 3 ms if it `connects`.
async fn answer(gate: &Gate, connects: bool) -> Response<GateBody<Body>> {
    let service = gate.layer(service_fn(move |_: Request<Body>| async move {
        if connects {
            RequestTrace::connection_in_hand(Duration::from_millis(3));
            // Only the first one is a wait of the request.
            RequestTrace::connection_in_hand(Duration::from_millis(9));
        }
        let mut response = Response::new(Body::from("done"));
        response.headers_mut().insert("server-timing", HeaderValue::from_static("db;dur=5"));
        Ok::<_, Infallible>(response)
    }));
    service.oneshot(request()).await.expect("infallible")
}

#[tokio::test]
async fn answers_say_their_waits_if_they_shall() {
    let gate = Gate::new(&GateSettings { server_timing: true, ..settings(1, 0) });
    assert_eq!(lines(&answer(&gate, true).await), ["db;dur=5", "gate;dur=0.0, pool;dur=3.0"]);
    assert_eq!(lines(&answer(&gate, false).await), ["db;dur=5", "gate;dur=0.0"]);
    assert_eq!(lines(&answer(&Gate::new(&settings(1, 0)), true).await), ["db;dur=5"], "not by default");
}

#[tokio::test]
async fn the_wait_in_the_queue_counts_also_when_it_was_in_vain() {
    let timeout = Duration::from_millis(40);
    let gate = Gate::new(&GateSettings { server_timing: true, timeout, ..settings(1, 1) });
    let go = Arc::new(Semaphore::new(0));
    let service = held(&gate, &go);
    let first = tokio::spawn(service.clone().oneshot(request()));
    while gate.in_flight() == 0 {
        tokio::task::yield_now().await;
    }
    let rejected = service.oneshot(request()).await.expect("infallible");
    assert_eq!(rejected.status(), StatusCode::SERVICE_UNAVAILABLE);
    let line = lines(&rejected).concat();
    let waited: f64 = line.strip_prefix("gate;dur=").and_then(|time| time.parse().ok()).expect("one time");
    assert!((40.0..5_000.0).contains(&waited), "{line}");
    go.add_permits(1);
    first.await.expect("joined").expect("infallible");
}
