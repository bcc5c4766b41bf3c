//! The queue and the requests that it rejects.

use super::*;
#[tokio::test(start_paused = true)]
async fn a_wider_gate_lets_in_who_waits_and_a_narrower_one_takes_no_permit_away() {
    let core = core(&settings(1, 10));
    let (gate, go) = (Gate::with_core(Arc::clone(&core)), Arc::new(Semaphore::new(0)));
    let service = held(&gate, &go);
    let mut tasks = JoinSet::new();
    let until = async |in_flight, queued| {
        while (gate.in_flight(), gate.queued()) != (in_flight, queued) {
            tokio::task::yield_now().await;
        }
    };
    for number in 1..=4 {
        let answer = service.clone().oneshot(request());
        // The permit is held until the response is dropped.
        tasks.spawn(async move { answer.await.expect("infallible").status() });
        until(1, number - 1).await;
    }
    core.obey(&normal(1), &GateOrders { permits: Some(3), ..GateOrders::default() });
    until(3, 1).await;
    core.obey(&normal(1), &GateOrders { permits: Some(1), ..GateOrders::default() });
    go.add_permits(1);
    until(2, 1).await;
    go.add_permits(3);
    while let Some(answer) = tasks.join_next().await {
        assert_eq!(answer.expect("no panic"), StatusCode::OK);
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_not_let_in_in_time_is_told_when_to_come_back() {
    let (gate, go) = (Gate::new(&settings(1, 10)), Arc::new(Semaphore::new(0)));
    let service = held(&gate, &go);
    let first = tokio::spawn(service.clone().oneshot(request()));
    while gate.in_flight() == 0 {
        tokio::task::yield_now().await;
    }
    let begun = time::Instant::now();
    let (parts, problem) = problem(service.oneshot(request()).await).await;
    assert_eq!(begun.elapsed(), Duration::from_millis(500));
    assert_eq!(parts.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(problem.code, "database_unavailable");
    assert_eq!(parts.headers["content-type"], "application/problem+json");
    let retry_after: u32 = parts.headers["retry-after"].to_str().expect("ASCII").parse().expect("an integer");
    assert!(retry_after >= 1);
    let config: ConfigHeader = parts.headers["poolgate-config"].to_str().expect("ASCII").parse().expect("a config");
    assert!(!config.open);
    go.add_permits(1);
    drop(first.await);
    assert_eq!((gate.in_flight(), gate.queued()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_rejection_says_how_full_the_gate_is() {
    let (gate, go) = (Gate::new(&settings(2, 1)), Arc::new(Semaphore::new(0)));
    let service = held(&gate, &go);
    let mut tasks = JoinSet::new();
    for _ in 0..3 {
        tasks.spawn(service.clone().oneshot(request()));
    }
    while (gate.in_flight(), gate.queued()) != (2, 1) {
        tokio::task::yield_now().await;
    }
    let figures = async |answer: Answer| {
        let bytes = answer.expect("infallible").into_body().collect().await.expect("a body").to_bytes();
        let document: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
        ["max_concurrent_requests", "in_flight", "waiting"].map(|name| document[name].as_u64())
    };
    let at_once = figures(service.oneshot(request()).await).await;
    assert_eq!(at_once, [Some(2), Some(2), Some(1)], "the queue is full");
    let late = tasks.join_next().await.expect("three").expect("no panic");
    assert_eq!(figures(late).await, [Some(2), Some(2), Some(0)], "who waits no more is not counted");
}

#[tokio::test(start_paused = true)]
async fn a_caller_with_a_deadline_does_not_wait_beyond_it() {
    let (gate, go) = (Gate::new(&settings(1, 10)), Arc::new(Semaphore::new(0)));
    let service = held(&gate, &go);
    let first = tokio::spawn(service.clone().oneshot(request()));
    while gate.in_flight() == 0 {
        tokio::task::yield_now().await;
    }
    for (deadline, waited) in [("80", 80), ("60000", 500), ("soon", 500)] {
        let begun = time::Instant::now();
        let mut request = request();
        request.headers_mut().insert("poolgate-deadline-ms", deadline.parse().expect("a header value"));
        let answer = service.clone().oneshot(request).await.expect("infallible");
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(begun.elapsed(), Duration::from_millis(waited), "{deadline}");
    }
    go.add_permits(1);
    drop(first.await);
}

#[tokio::test]
async fn a_full_queue_rejects_at_once() {
    let (gate, go) = (Gate::new(&settings(1, 2)), Arc::new(Semaphore::new(0)));
    let service = held(&gate, &go);
    let mut tasks = JoinSet::new();
    for _ in 0..3 {
        tasks.spawn(service.clone().oneshot(request()));
    }
    while (gate.in_flight(), gate.queued()) != (1, 2) {
        tokio::task::yield_now().await;
    }
    let (parts, _) = problem(service.oneshot(request()).await).await;
    assert_eq!(parts.status, StatusCode::SERVICE_UNAVAILABLE);
    go.add_permits(3);
    while let Some(answer) = tasks.join_next().await {
        assert_eq!(answer.expect("joined").expect("infallible").status(), StatusCode::OK);
    }
    assert_eq!(gate.in_flight(), 0);
}

#[tokio::test]
async fn a_standing_queue_turns_to_newest_first_and_sheds_the_old() {
    let served = |order| async move {
        let core = core(&GateSettings { order, ..settings(1, 50) });
        core.obey(&normal(1), &GateOrders { limited: true, ..GateOrders::default() });
        let gate = Gate::with_core(core);
        let mut tasks = JoinSet::new();
        // One at a time, 5 ms each; two come per served one.
        for number in 0..200_u32 {
            let service = gate.layer(service_fn(|_: Request<Body>| async {
                time::sleep(Duration::from_millis(5)).await;
                Ok::<_, Infallible>(Response::new(Body::empty()))
            }));
            tasks.spawn(async move {
                let begun = time::Instant::now();
                let response = service.oneshot(request()).await.expect("infallible");
                (number, response.status(), begun.elapsed())
            });
            time::sleep(Duration::from_millis(2)).await;
        }
        let mut waits: Vec<Duration> = Vec::new();
        while let Some(ended) = tasks.join_next().await {
            let (number, status, waited) = ended.expect("no panic");
            if status.is_success() && number >= 100 {
                waits.push(waited);
            }
        }
        waits.sort();
        waits[waits.len() / 2]
    };
    let (adaptive, fifo) = tokio::join!(served(QueueOrder::Adaptive), served(QueueOrder::Fifo));
    assert!(adaptive < Duration::from_millis(80), "adaptive: {adaptive:?}");
    assert!(fifo > adaptive * 2, "first come, first served: {fifo:?}, adaptive: {adaptive:?}");
}

#[tokio::test]
async fn a_reject_is_cheap() {
    const REJECTS: u32 = 4_000;
    let core = core(&settings(1, 0));
    let gate = Gate::with_core(Arc::clone(&core)).identify(|_| Some("greedy".to_owned()));
    let service = held(&gate, &Arc::new(Semaphore::new(0)));
    let _held = tokio::spawn(service.clone().oneshot(request()));
    while gate.in_flight() == 0 {
        tokio::task::yield_now().await;
    }
    for status in [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS] {
        if status == StatusCode::TOO_MANY_REQUESTS {
            limit(&core, 0.001);
        }
        let mut fastest = Duration::MAX;
        // The fastest of several runs, because the machine may be busy with other work.
        for _ in 0..5 {
            let begun = std::time::Instant::now();
            for _ in 0..REJECTS {
                let answer = service.clone().oneshot(request()).await.expect("infallible");
                assert!(answer.status() == status || answer.status() == StatusCode::SERVICE_UNAVAILABLE);
            }
            fastest = fastest.min(begun.elapsed() / REJECTS);
        }
        assert_eq!(service.clone().oneshot(request()).await.expect("infallible").status(), status);
        assert!(fastest < Duration::from_micros(20), "{fastest:?} for one {status}");
    }
}
