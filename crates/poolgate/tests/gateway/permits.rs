//! A permit is what the database feels: it begins with a small body's last byte and ends with the app's.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    response::{IntoResponse, Sse, sse::Event},
    routing::{get as route_get, post},
};
use futures_util::{StreamExt, future::join_all, stream};
use poolgate_server::settings::OnAbort;
use tokio::{io::AsyncWriteExt, time};

use crate::{
    client::{Client, get},
    front::{axum_app, eventually, front_with},
};

/// Requests at work in the app.
#[derive(Clone, Default)]
struct Work {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

/// Ends when the handler has ended or was dropped.
struct AtWork(Work);

impl Work {
    fn begin(&self) -> AtWork {
        let now = self.now.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(now, SeqCst);
        AtWork(self.clone())
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, SeqCst);
    }
}

fn app(work: &Work) -> Router {
    Router::new()
        .route("/fast", route_get(async || "fast"))
        .route(
            "/slow",
            route_get(async |State(work): State<Work>| {
                let _at_work = work.begin();
                time::sleep(Duration::from_millis(700)).await;
                "slow"
            }),
        )
        .route("/200k", route_get(async || vec![b'x'; 200 << 10]))
        .route("/10m", route_get(async || Body::from_stream(pieces(160))))
        .route("/events", route_get(events))
        .route("/upload", post(async |body: Bytes| body.len().to_string()))
        .with_state(work.clone())
        .layer(axum::extract::DefaultBodyLimit::disable())
}

fn pieces(count: usize) -> impl stream::Stream<Item = Result<Bytes, Infallible>> {
    stream::repeat_with(|| Ok(Bytes::from(vec![b'x'; 64 << 10]))).take(count)
}

/// One event at once, the next after a second.
async fn events() -> impl IntoResponse {
    let events = stream::iter(0_u32..).then(|number| async move {
        if number > 0 {
            time::sleep(Duration::from_secs(1)).await;
        }
        Ok::<_, Infallible>(Event::default().data(number.to_string()))
    });
    Sse::new(events)
}

/// T22.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_readers_hold_no_permit() {
    let app = axum_app(app(&Work::default())).await;
    let front = front_with(app, |settings| settings.gate.max_concurrent_requests = 2).await;
    let mut readers = Vec::new();
    for path in ["/10m", "/200k", "/10m", "/10m", "/200k", "/10m", "/10m", "/10m"] {
        let mut reader = Client::connect(front.address).await;
        reader.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        readers.push(reader);
        time::sleep(Duration::from_millis(350)).await;
    }
    eventually("free", || front.in_flight() == 0).await;
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(get(front.address, "/fast").await.status, 200);
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    // And who reads at last gets all of it.
    let answers = join_all(readers.iter_mut().map(Client::answer)).await;
    let lengths: Vec<_> = answers.into_iter().map(|answer| answer.expect("whole").body.len()).collect();
    assert!(lengths.iter().all(|length| *length == 200 << 10 || *length == 10 << 20), "{lengths:?}");
}

/// T23.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_streams_begin_at_once_and_hold_no_permit() {
    let app = axum_app(app(&Work::default())).await;
    let front = front_with(app, |settings| {
        settings.gate.max_concurrent_requests = 2;
        settings.upstream.max_streams = 10;
        settings.upstream.response_timeout = Duration::from_secs(1);
    })
    .await;
    get(front.address, "/fast").await;
    let mut streams = Vec::new();
    for _ in 0..10 {
        let mut client = Client::connect(front.address).await;
        let begun = Instant::now();
        client.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n").await;
        client.until(b"data: 0\n\n").await.expect("the first event");
        assert!(begun.elapsed() < Duration::from_millis(50), "{:?}", begun.elapsed());
        streams.push(client);
    }
    assert_eq!(front.in_flight(), 0);
    let one_more = get(front.address, "/events").await;
    assert_eq!((one_more.status, one_more.field("poolgate-outcome")), (503, Some("rejected")), "{one_more:?}");
    for client in &mut streams {
        client.until(b"data: 2\n\n").await.expect("longer than upstream.response_timeout");
    }
    drop(streams);
    let begun = Instant::now();
    loop {
        let mut client = Client::connect(front.address).await;
        client.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n").await;
        if client.until(b"\r\n\r\n").await.expect("a head").starts_with(b"HTTP/1.1 200") {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "places come back");
        time::sleep(Duration::from_millis(50)).await;
    }
}

/// T21.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permit_stays_with_the_work_of_clients_that_have_left() {
    let work = Work::default();
    let app = axum_app(app(&work)).await;
    let front = front_with(app, |settings| {
        settings.gate.max_concurrent_requests = 3;
        settings.gate.timeout = Duration::from_millis(100);
    })
    .await;
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        let mut client = Client::connect(front.address).await;
        client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
        time::sleep(Duration::from_millis(20)).await;
        drop(client);
    }
    assert_eq!(work.most.load(SeqCst), 3, "as many as there are permits");
    eventually("free", || front.in_flight() == 0 && work.now.load(SeqCst) == 0).await;
    assert_eq!(get(front.address, "/slow").await.text(), "slow");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_notices_is_told_that_its_client_has_left() {
    let work = Work::default();
    let app = axum_app(app(&work)).await;
    let front = front_with(app, |settings| settings.upstream.on_abort = OnAbort::Close).await;
    let mut client = Client::connect(front.address).await;
    client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("at work", || work.now.load(SeqCst) == 1).await;
    let begun = Instant::now();
    drop(client);
    eventually("free", || front.in_flight() == 0 && work.now.load(SeqCst) == 0).await;
    assert!(begun.elapsed() < Duration::from_millis(400), "before it would have ended: {:?}", begun.elapsed());
}

/// T20, with 500 senders at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_senders_hold_no_permit_and_end() {
    let app = axum_app(app(&Work::default())).await;
    let front = front_with(app, |settings| settings.gate.max_concurrent_requests = 2).await;
    let mut senders = Vec::new();
    for length in [1000, 100_000].into_iter().cycle().take(500) {
        let mut sender = Client::connect(front.address).await;
        sender.send(format!("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\nx")).await;
        senders.push((sender, length));
    }
    let slow = senders.into_iter().map(async |(mut sender, length)| {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(13) && sender.stream.write_all(b"x").await.is_ok() {
            time::sleep(Duration::from_millis(500)).await;
        }
        if length < 64 << 10 { None } else { Some(sender.answer().await) }
    });
    let slow = join_all(slow);
    let others = async {
        for _ in 0..50 {
            assert_eq!(get(front.address, "/fast").await.status, 200);
            time::sleep(Duration::from_millis(100)).await;
        }
    };
    let (ended, ()) = tokio::join!(slow, others);
    for answer in ended.into_iter().flatten() {
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 408, "{answer:?}");
    }
    eventually("free", || front.in_flight() == 0).await;
}

/// T33.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_says_no_more_after_its_request_has_left() {
    let work = Work::default();
    let app = axum_app(app(&work)).await;
    let front = front_with(app, |settings| {
        settings.gate.max_concurrent_requests = 1;
        settings.gate.timeout = Duration::from_secs(5);
    })
    .await;
    let half_closed = async || {
        let mut client = Client::connect(front.address).await;
        client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
        client.stream.shutdown().await.expect("closed");
        client
    };
    // One in the app, one in the queue: neither is answered, and the queue is left.
    let (mut first, mut second) = (half_closed().await, half_closed().await);
    assert!(first.is_closed().await && second.is_closed().await);
    eventually("free", || front.in_flight() == 0).await;
    assert!(work.most.load(SeqCst) <= 1);
    assert_eq!(front.poolgate.gate().queued(), 0);
}
