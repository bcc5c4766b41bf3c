//! The control loop's orders: the breaker, the fair rate, and the headers that tell them.

use super::*;
#[tokio::test]
async fn an_open_breaker_lets_only_probes_pass() {
    let core = core(&settings(5, 5));
    let (gate, go) = (Gate::with_core(Arc::clone(&core)), Arc::new(Semaphore::new(99)));
    let config = ThrottlingConfig { circuit_breaker_open: true, retry_after_seconds: Some(7), ..normal(2) };
    let probing = GateOrders { circuit: CircuitState::Open, probes_per_second: 0.001, ..GateOrders::default() };
    core.obey(&config, &GateOrders { retry_after_seconds: 7, ..probing });
    let service = held(&gate, &go);
    let mut statuses = Vec::new();
    for _ in 0..20 {
        let response = service.clone().oneshot(request()).await.expect("infallible");
        if response.status() == StatusCode::SERVICE_UNAVAILABLE {
            let retry_after: u32 = response.headers()["retry-after"].to_str().expect("ASCII").parse().expect("integer");
            assert!(retry_after >= 7);
        }
        assert!(response.headers()["poolgate-config"].to_str().expect("ASCII").ends_with("open=?1"));
        statuses.push(response.status());
    }
    assert_eq!(statuses.iter().filter(|status| status.is_success()).count(), 1, "one probe");
}

#[tokio::test]
async fn a_probe_that_got_no_connection_says_nothing() {
    let core = core(&settings(5, 5));
    let probing = GateOrders { circuit: CircuitState::HalfOpen, probes_per_second: 1e6, ..GateOrders::default() };
    core.obey(&normal(2), &probing);
    for (connected, status, counted) in [
        (false, StatusCode::SERVICE_UNAVAILABLE, (0, 0)),
        (true, StatusCode::INTERNAL_SERVER_ERROR, (0, 1)),
        (false, StatusCode::OK, (0, 1)),
        (true, StatusCode::OK, (1, 1)),
    ] {
        let service = Gate::with_core(Arc::clone(&core)).layer(service_fn(move |_: Request<Body>| async move {
            if connected {
                RequestTrace::connection_in_hand(Duration::ZERO);
            }
            let mut answer = Response::new(Body::empty());
            *answer.status_mut() = status;
            Ok::<_, Infallible>(answer)
        }));
        let answer = service.oneshot(request()).await.expect("infallible");
        assert_eq!(answer.status(), status);
        let totals = core.totals();
        assert_eq!((totals.probes_succeeded, totals.probes_failed), counted, "{connected} {status}");
        time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_client_that_sends_more_than_its_share_is_told_so_by_name() {
    let core = core(&settings(5, 5));
    let go = Arc::new(Semaphore::new(999));
    let gate =
        Gate::with_core(Arc::clone(&core)).identify(|parts| Some(parts.headers.get("user")?.to_str().ok()?.to_owned()));
    let service = held(&gate, &go);
    let send = |user: &'static str| {
        let request = Request::builder().header("user", user).body(Body::empty()).expect("a request");
        service.clone().oneshot(request)
    };
    for _ in 0..50 {
        assert_eq!(send("greedy").await.expect("infallible").status(), StatusCode::OK, "nothing is in force");
    }
    limit(&core, 0.5);
    for _ in 0..50 {
        drop(send("greedy").await);
    }
    let (parts, problem) = problem(send("greedy").await).await;
    assert_eq!((parts.status, &*problem.code), (StatusCode::TOO_MANY_REQUESTS, "quota_exceeded"));
    let retry_after: u32 = parts.headers["retry-after"].to_str().expect("ASCII").parse().expect("an integer");
    let limit = parts.headers["ratelimit"].to_str().expect("ASCII");
    let due: u32 = limit.strip_prefix(r#""per-client";r=0;t="#).expect("the form").parse().expect("an integer");
    assert!(retry_after >= due && due >= 1, "Retry-After wins and is not earlier");
    assert!(parts.headers.contains_key("ratelimit-policy"));
    assert_eq!(send("modest").await.expect("infallible").status(), StatusCode::OK, "others are not touched");
    let totals = core.totals();
    assert_eq!(totals.arrivals, totals.admitted + totals.rejected, "excess does not count as demand");
    assert!(totals.over_quota >= 35);
}

#[tokio::test]
async fn a_request_is_stamped_by_the_orders_that_it_was_judged_by() {
    let (core, go) = (core(&settings(1, 1)), Arc::new(Semaphore::new(0)));
    let gate = Gate::with_core(Arc::clone(&core)).identify(|_| Some("ada".to_owned()));
    let service = held(&gate, &go);
    core.obey(&normal(2), &GateOrders::default());
    let running = tokio::spawn(service.clone().oneshot(request()));
    let queued = tokio::spawn(service.clone().oneshot(request()));
    while (gate.in_flight(), gate.queued()) != (1, 1) {
        tokio::task::yield_now().await;
    }
    // The breaker opens between their judgement and their answers.
    let shut = GateOrders { circuit: CircuitState::Open, retry_after_seconds: 9, ..GateOrders::default() };
    core.obey(&ThrottlingConfig { circuit_breaker_open: true, ..normal(3) }, &shut);
    let rejected = service.clone().oneshot(request()).await.expect("infallible");
    assert_eq!((rejected.status(), version(&rejected)), (StatusCode::SERVICE_UNAVAILABLE, 3));
    go.add_permits(2);
    for answer in [running, queued] {
        let answer = answer.await.expect("joined").expect("infallible");
        assert_eq!((answer.status(), version(&answer)), (StatusCode::OK, 2));
    }
}

#[tokio::test]
async fn a_request_whose_body_was_waited_for_is_judged_by_the_orders_of_then() {
    let core = core(&settings(1, 1));
    let service = held(&Gate::with_core(Arc::clone(&core)), &Arc::new(Semaphore::new(1)));
    core.obey(&normal(2), &GateOrders::default());
    let (sender, upload) = bodies::upload(Some(5));
    let answer = tokio::spawn(service.oneshot(upload));
    tokio::task::yield_now().await;
    let shut = GateOrders { circuit: CircuitState::Open, ..GateOrders::default() };
    core.obey(&ThrottlingConfig { circuit_breaker_open: true, ..normal(3) }, &shut);
    drop(sender);
    let answer = answer.await.expect("joined").expect("infallible");
    assert_eq!((answer.status(), version(&answer)), (StatusCode::SERVICE_UNAVAILABLE, 3));
}
