//! The client against a server on loopback.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use axum::{Router, body::Body, http::StatusCode, response::IntoResponse, routing::get};
use futures_util::{StreamExt, stream};
use poolgate_native::{Answer, Asked, Client, HttpClient, Request, Settings};
use poolgate_types::{CONFIG_HEADER, ConfigVersion, Problem, ThrottlingConfig, codes, routes};
use tokio::{net::TcpListener, time};

/// Longer than anything that is waited for takes.
const PATIENCE: Duration = Duration::from_secs(10);
const CONFIG: &str = "e=1, v=1, level=NORMAL, concurrency=10, open=?0";

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

fn client(server: SocketAddr) -> Client {
    Client::new(HttpClient::new(server), Settings::default(), 42)
}

/// Sends at once; fails where the client lets it wait.
async fn send(client: &Client, path: &str) -> Answer {
    let Asked::Start(ticket) = client.ask(Request::default()) else { panic!("{path} has to wait") };
    client.get(ticket, path, Instant::now() + PATIENCE).await.expect("an answer")
}

#[tokio::test]
async fn the_gates_rejection_pauses_the_client_and_a_foreign_one_does_not() {
    let rejection = |code: &'static str| async move {
        let document = format!("{{\"type\":\"about:blank\",\"status\":503,\"code\":\"{code}\"}}");
        let headers = [("content-type", Problem::CONTENT_TYPE), (CONFIG_HEADER, CONFIG), ("retry-after", "30")];
        (StatusCode::SERVICE_UNAVAILABLE, headers, document)
    };
    let page = (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "30")], "<h1>Maintenance</h1>");
    let app = Router::new()
        .route("/well", get(async || [(CONFIG_HEADER, CONFIG)]))
        .route("/handler", get(move || rejection("maintenance")))
        .route("/proxy", get(async move || page))
        .route("/gate", get(move || rejection(codes::DATABASE_UNAVAILABLE)));
    let client = client(serve(app).await);
    send(&client, "/well").await;
    for path in ["/handler", "/proxy", "/gate"] {
        let answer = send(&client, path).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
    }
    assert!(matches!(client.ask(Request::default()), Asked::Queued(_)), "the gate said to come back later");
}

#[tokio::test]
async fn the_client_hears_the_config_and_obeys() {
    let config = ThrottlingConfig {
        enforced: true,
        fair_rate_per_second: Some(1000.0),
        max_concurrent_requests: 2,
        ..ThrottlingConfig::normal(ConfigVersion { epoch: 1, version: 1 })
    };
    let document = serde_json::to_string(&config).expect("a document");
    let event = format!("event: config\ndata: {document}\n\n");
    let events = async move || {
        let first = stream::once(async move { Ok::<_, Infallible>(event) });
        let body = Body::from_stream(first.chain(stream::pending()));
        ([("content-type", "text/event-stream")], body).into_response()
    };
    let (running, most) = (Arc::<AtomicU32>::default(), Arc::<AtomicU32>::default());
    let work = {
        let most = Arc::clone(&most);
        async move || {
            most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
            time::sleep(Duration::from_millis(20)).await;
            running.fetch_sub(1, SeqCst);
            let config = "e=1, v=1, level=MODERATE, interval=1, concurrency=2, open=?0";
            [(CONFIG_HEADER, config)]
        }
    };
    let client = client(serve(Router::new().route(routes::EVENTS, get(events)).route("/work", get(work))).await);
    let following = client.clone();
    tokio::spawn(async move { following.run().await });
    let begun = Instant::now();
    // Until the config is there nothing limits.
    while !matches!(client.ask(Request::default()), Asked::Start(_)) || begun.elapsed() < Duration::from_millis(300) {
        assert!(begun.elapsed() < PATIENCE);
        time::sleep(Duration::from_millis(10)).await;
    }
    let requests = (0..20).map(async |_| {
        let ticket = match client.ask(Request::default()) {
            Asked::Start(ticket) => ticket,
            Asked::Queued(waiting) => waiting.await.expect("its turn"),
            Asked::Rejected(rejection) => panic!("{rejection:?}"),
        };
        client.get(ticket, "/work", Instant::now() + PATIENCE).await.expect("an answer").status
    });
    let statuses = time::timeout(PATIENCE, futures_util::future::join_all(requests)).await.expect("in time");
    assert_eq!(statuses, [StatusCode::OK; 20]);
    assert_eq!(most.load(SeqCst), 2, "as many at a time as the config allows");
}
