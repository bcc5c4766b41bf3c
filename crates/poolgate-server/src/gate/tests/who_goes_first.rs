//! Priorities, heavy callers and deadlines, from the headers to the answers.

use std::sync::Mutex;

use super::*;

/// A gate of one permit whose service notes the path of whom it serves, and answers once `go` has a permit for it.
struct Counter {
    gate: Gate,
    go: Arc<Semaphore>,
    served: Arc<Mutex<Vec<String>>>,
    tasks: JoinSet<StatusCode>,
}

impl Counter {
    async fn new(gate: Gate) -> Self {
        let mut counter = Self { gate, go: Arc::new(Semaphore::new(0)), served: Arc::default(), tasks: JoinSet::new() };
        counter.tasks.spawn(counter.send("/first", &[]));
        counter.until(1, 0).await;
        counter
    }

    fn send(&self, path: &str, headers: &[(&str, &str)]) -> impl Future<Output = StatusCode> + Send + use<> {
        let (go, served) = (Arc::clone(&self.go), Arc::clone(&self.served));
        let service = self.gate.layer(service_fn(move |request: Request<Body>| {
            let (go, served) = (Arc::clone(&go), Arc::clone(&served));
            async move {
                served.lock().expect("not poisoned").push(request.uri().path().to_owned());
                go.acquire().await.expect("never closed").forget();
                Ok::<_, Infallible>(Response::new(Body::empty()))
            }
        }));
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).expect("a request");
        async move { service.oneshot(request).await.expect("infallible").status() }
    }

    /// Sends and waits until it is in the queue.
    async fn queue(&mut self, path: &str, headers: &[(&str, &str)]) {
        let queued = self.gate.queued();
        self.tasks.spawn(self.send(path, headers));
        self.until(1, queued + 1).await;
    }

    async fn until(&self, in_flight: u32, queued: u32) {
        while (self.gate.in_flight(), self.gate.queued()) != (in_flight, queued) {
            tokio::task::yield_now().await;
        }
    }

    /// Lets everybody through; who was served, in this order, and who was turned away, by number.
    async fn finish(mut self) -> (Vec<String>, usize) {
        self.go.add_permits(1000);
        let mut rejected = 0;
        while let Some(status) = self.tasks.join_next().await {
            rejected += usize::from(status.expect("no panic") == StatusCode::SERVICE_UNAVAILABLE);
        }
        assert_eq!((self.gate.in_flight(), self.gate.queued()), (0, 0));
        let served = self.served.lock().expect("not poisoned").clone();
        (served, rejected)
    }
}

#[tokio::test]
async fn the_app_says_what_is_urgent_and_a_request_may_step_back() {
    let gate = Gate::new(&settings(1, 10))
        .classify(|request| request.uri.path().starts_with("/screen").then_some(Priority::High));
    let mut counter = Counter::new(gate).await;
    counter.queue("/prefetch", &[("priority", "u=6")]).await;
    counter.queue("/list", &[("priority", "u=0")]).await;
    counter.queue("/list-again", &[]).await;
    counter.queue("/screen", &[("priority", "u=7")]).await;
    let (served, rejected) = counter.finish().await;
    assert_eq!(served, ["/first", "/screen", "/list", "/list-again", "/prefetch"]);
    assert_eq!(rejected, 0);
}

#[tokio::test]
async fn in_a_full_queue_a_light_caller_takes_the_place_of_a_heavy_one() {
    let gate =
        Gate::new(&settings(1, 2)).identify(|request| Some(request.headers.get("user")?.to_str().ok()?.to_owned()));
    let mut counter = Counter::new(gate).await;
    for _ in 0..5 {
        counter.queue("/heavy", &[("user", "heavy")]).await;
        counter.go.add_permits(1);
        counter.until(1, 0).await;
    }
    counter.queue("/heavy-1", &[("user", "heavy")]).await;
    counter.queue("/heavy-2", &[("user", "heavy")]).await;
    assert_eq!(counter.send("/heavy-3", &[("user", "heavy")]).await, StatusCode::SERVICE_UNAVAILABLE);
    counter.tasks.spawn(counter.send("/light", &[("user", "light")]));
    // The place is taken at once; that the heavy one is told takes until its task runs.
    let rejected = loop {
        match counter.tasks.join_next().await.expect("a task").expect("no panic") {
            StatusCode::OK => {}
            status => break status,
        }
    };
    assert_eq!(rejected, StatusCode::SERVICE_UNAVAILABLE);
    let (served, rejected) = counter.finish().await;
    assert_eq!(served[6..], ["/light", "/heavy-1"], "who has its share goes last");
    assert_eq!(rejected, 0, "it was told before");
}

#[tokio::test(start_paused = true)]
async fn who_cannot_be_answered_in_time_does_not_wait() {
    let core = core(&settings(1, 10));
    let mean_hold = Some(Duration::from_millis(200));
    core.obey(&normal(1), &GateOrders { mean_hold, ..GateOrders::default() });
    let counter = Counter::new(Gate::with_core(core)).await;
    for (deadline, waited) in [("90", 0), ("180", 80), ("0", 0)] {
        let begun = time::Instant::now();
        let status = counter.send("/", &[("poolgate-deadline-ms", deadline)]).await;
        assert_eq!((status, begun.elapsed()), (StatusCode::SERVICE_UNAVAILABLE, Duration::from_millis(waited)));
    }
    let (served, _) = counter.finish().await;
    assert_eq!(served, ["/first"]);
}
