//! A permit is not held for a sender or a reader.

use std::sync::Mutex;

use axum::body::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::{Channel, StreamBody, channel::Sender};
use tokio_util::sync::CancellationToken;

use super::*;

pub(super) type Sent = Sender<Bytes, axum::Error>;

/// A body that comes as it is sent, and the request with it.
pub(super) fn upload(length: Option<u64>) -> (Sent, Request<Body>) {
    let (sender, body) = Channel::<Bytes, axum::Error>::new(8);
    let body = match length {
        Some(length) => Body::new(Announced { body, length }),
        None => Body::new(body),
    };
    (sender, Request::post("/upload").body(body).expect("a request"))
}

/// A body whose length is known before it is there.
struct Announced {
    body: Channel<Bytes, axum::Error>,
    length: u64,
}

impl http_body::Body for Announced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = std::pin::Pin::new(&mut self.body).poll_frame(context);
        if let std::task::Poll::Ready(Some(Ok(frame))) = &polled {
            self.length -= frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.length == 0
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.length)
    }
}

/// Answers with what came, and notes with how many permits in use it began and ended to read.
fn reader(gate: &Gate) -> (Held, Arc<Mutex<Vec<u32>>>) {
    let seen: Arc<Mutex<Vec<u32>>> = Arc::default();
    let (counted, noted) = (gate.clone(), Arc::clone(&seen));
    let service = gate.layer(service_fn(move |request: Request<Body>| {
        let (gate, seen) = (counted.clone(), Arc::clone(&noted));
        async move {
            seen.lock().expect("not poisoned").push(gate.in_flight());
            let collected = request.into_body().collect().await;
            seen.lock().expect("not poisoned").push(gate.in_flight());
            let body =
                collected.map_or_else(|error| format!("error: {error}").into(), http_body_util::Collected::to_bytes);
            Ok::<_, Infallible>(Response::new(Body::from(body)))
        }
    }));
    (BoxCloneService::new(service), seen)
}

async fn text(answer: Answer) -> String {
    let body = answer.expect("infallible").into_body().collect().await.expect("a body").to_bytes();
    String::from_utf8(body.to_vec()).expect("text")
}

async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_small_body_is_there_before_a_permit_is_asked_for() {
    let gate = Gate::new(&settings(1, 0));
    let (service, seen) = reader(&gate);
    let (mut sender, request) = upload(Some(5));
    let answer = tokio::spawn(service.clone().oneshot(request));
    sender.send_data(Bytes::from_static(b"he")).await.expect("it reads");
    settle().await;
    assert_eq!((gate.in_flight(), seen.lock().expect("not poisoned").len()), (0, 0), "the app knows nothing of it");
    assert_eq!(text(service.oneshot(super::request()).await).await, "", "another request is served meanwhile");
    sender.send_data(Bytes::from_static(b"llo")).await.expect("it reads");
    assert_eq!(text(answer.await.expect("joined")).await, "hello");
    assert_eq!((gate.in_flight(), seen.lock().expect("not poisoned").clone()), (0, vec![1; 4]));
}

#[tokio::test(start_paused = true)]
async fn while_the_app_waits_for_a_piece_the_permit_goes_back() {
    for length in [None, Some(100_000)] {
        let gate = Gate::new(&settings(1, 0));
        let (service, seen) = reader(&gate);
        let (mut sender, request) = upload(length);
        let answer = tokio::spawn(service.clone().oneshot(request));
        settle().await;
        assert_eq!((gate.in_flight(), seen.lock().expect("not poisoned").clone()), (0, vec![1]), "{length:?}");
        assert_eq!(text(service.oneshot(super::request()).await).await, "");
        sender.send_data(vec![b'x'; 100_000].into()).await.expect("it reads");
        settle().await;
        drop(sender);
        assert_eq!(text(answer.await.expect("joined")).await.len(), 100_000);
        assert_eq!(seen.lock().expect("not poisoned").last(), Some(&1), "with a permit again");
        assert_eq!(gate.in_flight(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_to_a_full_gate_waits_like_others_and_may_be_turned_away() {
    let gate = Gate::new(&settings(1, 5));
    let go = Arc::new(Semaphore::new(0));
    let worker = Arc::clone(&go);
    let service = gate.layer(service_fn(move |request: Request<Body>| {
        let go = Arc::clone(&worker);
        async move {
            let collected = request.into_body().collect().await;
            go.acquire().await.expect("never closed").forget();
            collected.map(|_| Response::new(Body::empty()))
        }
    }));
    let (mut uploads, mut answers) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let (sender, request) = upload(None);
        answers.push(tokio::spawn(service.clone().oneshot(request)));
        uploads.push(sender);
        settle().await;
    }
    assert_eq!(gate.in_flight(), 0);
    let others = tokio::spawn(held(&gate, &go).oneshot(super::request()));
    settle().await;
    // One goes on at once, on top of the permit that is in use; the others wait for half a second.
    for sender in &mut uploads {
        sender.send_data(Bytes::from_static(b"x")).await.expect("it reads");
    }
    drop(uploads);
    settle().await;
    assert_eq!((gate.in_flight(), gate.queued()), (2, 2));
    time::sleep(Duration::from_millis(501)).await;
    go.add_permits(99);
    let mut statuses = Vec::new();
    for answer in answers {
        statuses.push(answer.await.expect("joined").expect("the body came").status().as_u16());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503, 503]);
    assert!(others.await.expect("joined").is_ok());
    assert_eq!((gate.in_flight(), gate.queued()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_in_time_is_answered_408() {
    for length in [None, Some(5), Some(100_000)] {
        let gate = Gate::new(&settings(1, 0));
        let (service, _) = reader(&gate);
        let (_sender, request) = upload(length);
        let begun = time::Instant::now();
        let (parts, problem) = problem(service.oneshot(request).await).await;
        assert_eq!((parts.status, &*problem.code), (StatusCode::REQUEST_TIMEOUT, "body_timeout"), "{length:?}");
        assert_eq!((begun.elapsed().as_secs(), &parts.headers["connection"]), (30, &"close".parse().expect("a value")));
        assert_eq!(gate.in_flight(), 0);
    }
}

/// One that goes on sending is served; one that sends nothing is not waited for, whether it began before the end or
/// after.
#[tokio::test(start_paused = true)]
async fn a_server_that_stops_does_not_wait_for_bodies_that_do_not_come() {
    for length in [None, Some(5), Some(100_000)] {
        let closing = CancellationToken::new();
        let surroundings = Surroundings { closing: closing.clone(), ..Surroundings::default() };
        let gate = Gate::with_core(Core::new(&settings(3, 0), surroundings));
        let (service, _) = reader(&gate);
        let (_silent, request) = upload(length);
        let before = tokio::spawn(service.clone().oneshot(request));
        let (mut sender, request) = upload(length);
        let sending = tokio::spawn(service.clone().oneshot(request));
        settle().await;
        closing.cancel();
        let begun = time::Instant::now();
        let (_late, request) = upload(length);
        let after = tokio::spawn(service.clone().oneshot(request));
        settle().await;
        sender.send_data(Bytes::from_static(b"hello")).await.expect("it reads");
        drop(sender);
        assert!(sending.await.expect("joined").expect("answered").status().is_success(), "{length:?}");
        for answer in [before, after] {
            let (parts, problem) = problem(answer.await.expect("joined")).await;
            let seen = (parts.status, &*problem.code, parts.headers.contains_key("retry-after"));
            assert_eq!(seen, (StatusCode::SERVICE_UNAVAILABLE, "shutting_down", true), "{length:?}");
            assert_eq!(parts.headers["connection"], "close");
        }
        assert!(begun.elapsed() <= time::Duration::from_secs(2), "{:?}", begun.elapsed());
        assert_eq!(gate.in_flight(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_body_is_the_apps_to_answer() {
    let gate = Gate::new(&settings(1, 0));
    let (service, _) = reader(&gate);
    for length in [None, Some(5)] {
        let (mut sender, request) = upload(length);
        let answer = tokio::spawn(service.clone().oneshot(request));
        sender.send_data(Bytes::from_static(b"he")).await.expect("it reads");
        settle().await;
        sender.abort(axum::Error::new(std::io::Error::other("gone")));
        let text = text(answer.await.expect("joined")).await;
        assert!(text.starts_with("error: "), "{text}");
        assert_eq!(gate.in_flight(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn trailers_and_lengths_arrive() {
    let gate = Gate::new(&settings(1, 0));
    let service = gate.layer(service_fn(|request: Request<Body>| async move {
        let hint = http_body::Body::size_hint(request.body()).exact();
        let collected = request.into_body().collect().await.expect("a body");
        let trailer = collected.trailers().map(|trailers| trailers["digest"].clone());
        let length = collected.to_bytes().len();
        let trailers = http::HeaderMap::from_iter([(http::header::ETAG, "\"1\"".parse().expect("a value"))]);
        let frames = [Frame::data(Bytes::from(format!("{hint:?} {length} {trailer:?}"))), Frame::trailers(trailers)];
        let body = StreamBody::new(stream::iter(frames.map(Ok::<_, Infallible>)));
        Ok::<_, Infallible>(Response::new(Body::new(body)))
    }));
    let (mut sender, request) = upload(None);
    let answer = tokio::spawn(service.clone().oneshot(request));
    sender.send_data(Bytes::from_static(b"hello")).await.expect("it reads");
    let digest = [(http::HeaderName::from_static("digest"), "abc".parse().expect("a value"))];
    sender.send_trailers(http::HeaderMap::from_iter(digest)).await.expect("it reads");
    drop(sender);
    let collected = answer.await.expect("joined").expect("infallible").into_body().collect().await.expect("a body");
    assert_eq!(collected.trailers().map(|trailers| trailers["etag"].clone()), Some("\"1\"".parse().expect("a value")));
    assert_eq!(collected.to_bytes(), "None 5 Some(\"abc\")");
    let known = service.oneshot(Request::new(Body::from("hello"))).await.expect("infallible").into_body();
    assert_eq!(known.collect().await.expect("a body").to_bytes(), "Some(5) 5 None");
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_holds_no_permit_and_keeps_its_length() {
    let gate = Gate::new(&settings(1, 0));
    let (service, _) = reader(&gate);
    let answer = service.oneshot(Request::new(Body::from("hello"))).await.expect("infallible");
    assert_eq!(gate.in_flight(), 0, "before its first read");
    let body = answer.into_body();
    assert_eq!(http_body::Body::size_hint(&body).exact(), Some(5));
    assert!(!http_body::Body::is_end_stream(&body));
    assert_eq!(body.collect().await.expect("a body").to_bytes(), "hello");
    let pieces = gate.layer(service_fn(|request: Request<Body>| async move {
        let body = Body::from_stream(stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(b"x"))));
        let empty = request.method() == http::Method::HEAD;
        Ok::<_, Infallible>(Response::builder().status(if empty { 200 } else { 304 }).body(body).expect("a response"))
    }));
    for request in [Request::head("/"), Request::get("/")] {
        let _answer = pieces.clone().oneshot(request.body(Body::empty()).expect("a request")).await;
        assert_eq!(gate.in_flight(), 0, "the body has no reader");
    }
}

/// Answers with pieces that come as they are sent.
fn streaming(gate: &Gate, bodies: Vec<Channel<Bytes, axum::Error>>) -> Held {
    let bodies = Arc::new(Mutex::new(bodies));
    BoxCloneService::new(gate.layer(service_fn(move |_: Request<Body>| {
        let body = bodies.lock().expect("not poisoned").pop().expect("as many as requests");
        async move { Ok::<_, Infallible>(Response::new(Body::new(body))) }
    })))
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_pieces_gives_its_permit_back_soon_without_a_reader() {
    let core = core(&settings(2, 10));
    let gate = Gate::with_core(Arc::clone(&core));
    let (senders, bodies): (Vec<Sent>, Vec<_>) = (0..2).map(|_| Channel::new(8)).unzip();
    let service = streaming(&gate, bodies);
    let mut answers = Vec::new();
    for _ in 0..2 {
        answers.push(service.clone().oneshot(request()).await.expect("infallible"));
    }
    assert_eq!(gate.in_flight(), 2);
    core.set_connections(1);
    time::sleep(Duration::from_millis(400)).await;
    assert_eq!(gate.in_flight(), 1, "a connection is in use that may be its own");
    core.set_connections(0);
    time::sleep(Duration::from_millis(100)).await;
    assert_eq!(gate.in_flight(), 0);
    assert_eq!(core.totals().completed, 2);
    for (mut sender, answer) in senders.into_iter().rev().zip(answers) {
        sender.send_data(Bytes::from_static(b"late")).await.expect("it is read");
        drop(sender);
        assert_eq!(answer.into_body().collect().await.expect("a body").to_bytes(), "late");
    }
    assert_eq!((gate.in_flight(), core.totals().completed), (0, 2), "once");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_ends_or_is_dropped_gives_its_permit_back_at_once() {
    let gate = Gate::new(&settings(2, 0));
    let (mut senders, bodies): (Vec<Sent>, Vec<_>) = (0..2).map(|_| Channel::new(8)).unzip();
    let service = streaming(&gate, bodies);
    let dropped = service.clone().oneshot(request()).await.expect("infallible");
    let read = service.oneshot(request()).await.expect("infallible");
    assert_eq!(gate.in_flight(), 2);
    drop(dropped);
    assert_eq!(gate.in_flight(), 1);
    let mut body = read.into_body();
    senders[0].send_data(Bytes::from_static(b"x")).await.expect("it is read");
    assert!(body.frame().await.expect("a frame").is_ok());
    assert_eq!(gate.in_flight(), 1);
    drop(senders);
    assert!(body.frame().await.is_none());
    assert_eq!(gate.in_flight(), 0, "the end gives it back while the body still exists");
}
