//! A program that wants more than its database can give, and obeys. Start `cargo xtask demo`, put it under load on its page,
//! and run this beside it: `cargo run -p poolgate-native --example obey`.

use std::{
    error::Error,
    net::SocketAddr,
    time::{Duration, Instant},
};

use poolgate_native::{Asked, Client, HttpClient, RejectReason, Rejection, Request, Settings, Ticket};
use tokio::{task::JoinSet, time};

/// A request that holds a connection for 200 ms.
const PATH: &str = "/api/v1/lab/hold?hold_ms=200";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server: SocketAddr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8000".to_owned()).parse()?;
    let client = Client::new(HttpClient::new(server), Settings::default(), u64::from(std::process::id()));
    let following = client.clone();
    tokio::spawn(async move { following.run().await });

    let mut requests = JoinSet::new();
    for _ in 0..100 {
        let client = client.clone();
        requests.spawn(async move { println!("{}", send(&client).await) });
        time::sleep(Duration::from_millis(100)).await;
    }
    requests.join_all().await;
    Ok(())
}

/// Sends one request when the client may, and says what became of it.
async fn send(client: &Client) -> String {
    let wanted = Instant::now();
    let ticket = match ticket(client).await {
        Ok(ticket) => ticket,
        Err(Rejection { reason: RejectReason::CircuitOpen, .. }) => return "the database is down".to_owned(),
        Err(Rejection { reason, .. }) => return format!("not sent: {reason:?}"),
    };
    let waited = wanted.elapsed();
    match client.get(ticket, PATH, wanted + Duration::from_secs(20)).await {
        Ok(answer) => format!("{} after {:.1?}, of which {waited:.1?} in the queue", answer.status, wanted.elapsed()),
        Err(error) => format!("no answer: {error:?}"),
    }
}

async fn ticket(client: &Client) -> Result<Ticket, Rejection> {
    match client.ask(Request::default()) {
        Asked::Start(ticket) => Ok(ticket),
        Asked::Queued(waiting) => waiting.await,
        Asked::Rejected(rejection) => Err(rejection),
    }
}
