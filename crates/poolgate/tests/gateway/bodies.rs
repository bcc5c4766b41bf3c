//! Bodies of any size, in both directions.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    routing::{get as route_get, post},
};
use futures_util::{StreamExt, stream};
use tokio::{io::AsyncWriteExt, time};

use crate::{
    client::{Client, ask},
    front::{axum_app, eventually, front, front_with},
};

const SIZE: usize = 200 << 20;

fn app() -> Router {
    let count = async |request: Request| {
        let mut body = request.into_body().into_data_stream();
        let (mut length, mut sum) = (0_usize, 0_u64);
        while let Some(Ok(piece)) = body.next().await {
            length += piece.len();
            sum = piece.iter().fold(sum, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        }
        format!("{length} {sum}")
    };
    let large = async || {
        let piece = Bytes::from(vec![b'y'; 64 << 10]);
        Body::from_stream(stream::iter((0..SIZE >> 16).map(move |_| Ok::<_, std::convert::Infallible>(piece.clone()))))
    };
    Router::new().route("/count", post(count)).route("/large", route_get(large))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_uploads_and_downloads_pass_unchanged() {
    let front = front(axum_app(app()).await).await;
    let piece: Vec<u8> = (0..64 << 10).map(|number: u32| number.to_le_bytes()[0]).collect();
    let mut expected = 0_u64;
    let mut client = Client::connect(front.address).await;
    client.send(format!("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n")).await;
    for _ in 0..SIZE >> 16 {
        client.stream.write_all(&piece).await.expect("sent");
        expected = piece.iter().fold(expected, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    }
    assert_eq!(client.answer().await.expect("an answer").text(), format!("{SIZE} {expected}"));
    client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = client.answer().await.expect("an answer");
    assert!(answer.body.len() == SIZE && answer.body.iter().all(|byte| *byte == b'y'), "{}", answer.body.len());
}

#[tokio::test]
async fn a_small_body_is_there_before_the_gate_is_asked() {
    let front = front(axum_app(app()).await).await;
    let mut client = Client::connect(front.address).await;
    client.send("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc").await;
    time::sleep(Duration::from_millis(200)).await;
    assert_eq!(front.in_flight(), 0);
    client.send("def").await;
    assert!(client.answer().await.expect("an answer").text().starts_with("6 "));
    eventually("free", || front.in_flight() == 0).await;
}

#[tokio::test]
async fn a_limit_on_bodies_is_the_operators_choice() {
    let front = front_with(axum_app(app()).await, |settings| settings.upstream.max_body_bytes = Some(100_000)).await;
    let announced = format!("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\n\r\n{}", "x".repeat(100_001));
    let answer = ask(front.address, announced).await;
    assert_eq!((answer.status, answer.field("connection")), (413, Some("close")), "{answer:?}");
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let chunked =
        format!("POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n");
    assert_eq!(ask(front.address, chunked).await.status, 413);
    let fits = format!("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n{}", "x".repeat(100_000));
    assert_eq!(ask(front.address, fits).await.status, 200);
}

/// An answer before the body was read, as an app gives it to a body that is too large for it.
#[tokio::test]
async fn an_early_answer_of_the_app_arrives() {
    let app = Router::new().route("/", post(async || (axum::http::StatusCode::PAYLOAD_TOO_LARGE, "too large")));
    let front = front(axum_app(app).await).await;
    let mut client = Client::connect(front.address).await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n").await;
    let answer = client.answer().await.expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (413, "too large"));
    eventually("free", || front.in_flight() == 0).await;
}
